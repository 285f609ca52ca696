import { textAt } from '../state/json.ts';
import type { Engine, Exit } from './engine.ts';

/** Containers that only say they run; those of jobs end well after a time. */
export function pretendEngine(options: { readonly jobMs: number }): Engine {
  return {
    hasImage: () => true,
    start: async ({ pod, container, init, log }) => {
      log(`${String(container.name)} started\n`);
      const ends = init || textAt(pod, 'spec', 'restartPolicy') !== 'Always';
      let finish: (exit: Exit) => void = () => {};
      const exited = new Promise<Exit>((resolve) => {
        finish = resolve;
      });
      const timer = ends ? setTimeout(() => finish({ code: 0, reason: 'Completed' }), init ? 0 : options.jobMs) : undefined;
      return {
        exited,
        stop: () => {
          clearTimeout(timer);
          finish({ code: 143, reason: 'Error' });
        },
      };
    },
    probe: () => null,
    forget: async () => {},
    close: async () => {},
  };
}
