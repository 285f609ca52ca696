import pc from 'picocolors';
import type { StageEvent } from '../../compiler/contracts/index.ts';
import { seconds, usd } from './format.ts';
import type { Progress } from './progress.ts';
import { plainLine } from './progress-plain.ts';

/** Lines as in plain mode, with one live line below them: what runs now, best so far, time and money left. */
export function ttyProgress(output: NodeJS.WriteStream): Progress {
  let doing = '';
  let best = '';
  let spent = '';
  let startedAtMs = Date.now();
  const clear = () => output.write('\r\u001b[2K');
  const draw = () => {
    const parts = [
      [doing && `${doing} ${seconds((Date.now() - startedAtMs) / 1000)}`, (text: string) => text],
      [best, pc.green],
      [spent, pc.dim],
    ] as const;
    clear();
    output.write(fitParts(parts, (output.columns ?? 80) - 1));
  };
  const timer = setInterval(draw, 500);
  timer.unref();
  return {
    emit: (event: StageEvent) => {
      if (event.type === 'deploying') [doing, startedAtMs] = [`deploying ${event.label}`, Date.now()];
      if (event.type === 'block-started') [doing, startedAtMs] = [`measuring ${event.label}`, Date.now()];
      if (event.type === 'best') best = `best so far: ${event.label}`;
      if (event.type === 'spent') spent = `${seconds(event.remainingSeconds)} left, ${usd(event.usd)} spent`;
      const line = plainLine(event);
      if (line !== undefined) {
        clear();
        output.write(`${event.type === 'phase' ? pc.bold(line.slice(2)) : line}\n`);
      }
      draw();
    },
    close: () => {
      clearInterval(timer);
      clear();
    },
  };
}

/** Joins the parts up to a number of visible characters; colour goes on after the cut, so no code is ever cut. */
function fitParts(parts: readonly (readonly [text: string, colour: (text: string) => string])[], width: number): string {
  let left = width;
  const out: string[] = [];
  for (const [text, colour] of parts) {
    if (text === '' || left <= 0) continue;
    const shown = (out.length > 0 ? ` · ${text}` : text).slice(0, left);
    left -= shown.length;
    out.push(colour(shown));
  }
  return out.join('');
}
