import type { StageEvent } from '../../compiler/contracts/index.ts';
import { ms, seconds, usd } from './format.ts';
import type { Progress } from './progress.ts';

/** A line per thing that happened; quiet for hours stays small. */
export function plainProgress(output: NodeJS.WritableStream): Progress {
  return {
    emit: (event) => {
      const line = plainLine(event);
      if (line !== undefined) output.write(`${line}\n`);
    },
    close: () => {},
  };
}

/** What an event says in one line; undefined for events that only a live display shows. */
export function plainLine(event: StageEvent): string | undefined {
  switch (event.type) {
    case 'phase':
      return `# ${event.title}`;
    case 'plan':
      return `  ${event.blocks} blocks, about ${seconds(event.secondsLow)} to ${seconds(event.secondsHigh)}`;
    case 'deployed':
      return `  deployed ${event.configurationId} in ${event.seconds.toFixed(1)} s`;
    case 'block-finished':
      return `  ${event.label}: p50 ${ms(event.p50Ms)}  p95 ${ms(event.p95Ms)}  ${usd(event.usdPer1000)}/1000${event.valid ? '' : '  (excluded)'}${event.reused ? '  (from the journal)' : ''}`;
    case 'trial-failed':
      return `  ${event.label} failed: ${event.message}`;
    case 'headroom':
    case 'best':
      return `  ${event.sentence}`;
    case 'notice':
      return `  ${event.severity === 'info' ? '' : `${event.severity}: `}${event.message}`;
    case 'deploying':
    case 'block-started':
    case 'spent':
      return undefined;
  }
}
