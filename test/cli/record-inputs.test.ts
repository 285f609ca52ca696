import { createServer } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { driveInputs } from '../../cli/record-inputs.ts';
import type { LoadClass } from '../../profiler/load/job.ts';
import { urlOf } from '../runtime/llm/endpoints.ts';

interface Asked {
  readonly headers: { readonly [name: string]: string };
  readonly body: { readonly resume?: { readonly [id: string]: unknown } } | string;
}

/** An ingress that asks a person before it answers `ask`, fails `fail`, and else says yes. */
async function ingress() {
  const seen: Asked[] = [];
  let [now, most] = [0, 0];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (piece) => {
      text += piece;
    });
    request.on('end', () => {
      const body = JSON.parse(text) as Asked['body'];
      seen.push({ headers: request.headers as Asked['headers'], body });
      most = Math.max(most, ++now);
      setTimeout(() => {
        now--;
        const json = (status: number, value: unknown) =>
          response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
        const question = {
          code: 'inputRequired',
          message: 'asks',
          details: { id: 'q1', component: 'review', prompt: 'good?' },
          session: 's',
          request: 'r',
        };
        if (body === 'ask') json(428, question);
        else if (body === 'fail') json(502, { code: 'failed', message: 'the model endpoint answered 401 wrong key' });
        else if (body === 'broken stream')
          response
            .writeHead(200, { 'content-type': 'text/event-stream' })
            .end('data: {"chunk":"a"}\n\ndata: {"error":{"code":"failed"}}\n\n');
        else json(200, 'yes');
      }, 20);
    });
  });
  const url = await urlOf(server);
  closing.push(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return { url, seen, most: () => most };
}
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const load = (inputs: readonly unknown[], more: Partial<LoadClass> = {}): LoadClass => ({
  name: 'c',
  inputs,
  arrivals: { process: 'constant', perSecond: 1 },
  stream: false,
  timeoutMs: 5_000,
  ...more,
});
const context = { emit: () => {}, signal: new AbortController().signal, now: Date.now, seed: 1 };

describe('driving inputs for a recording', () => {
  it('sends each input as often as asked, under an id of its own, no more at once than allowed', async () => {
    const { url, seen, most } = await ingress();
    const classes = [load([1, 2, 3]), load([4], { name: 'd', sessions: 1 })];
    const driven = await driveInputs({ classes }, [url], { passes: 2, concurrency: 3, block: 'b' }, context);
    expect(driven).toEqual({ sent: 8, answered: 8, failures: [] });
    expect(seen.map(({ body }) => body).sort()).toEqual([1, 1, 2, 2, 3, 3, 4, 4]);
    expect(new Set(seen.map(({ headers }) => headers['x-dmas-request'])).size).toBe(8);
    expect(most()).toBe(3);
    expect(new Set(seen.map(({ headers }) => headers['x-dmas-session']))).toEqual(new Set([undefined, 'd-0']));
  });

  it('answers questions to a person as the script says, without waiting', async () => {
    const { url, seen } = await ingress();
    const humans = [{ component: 'review', reply: { verdict: 'good' }, afterMs: 3_600_000 }];
    const driven = await driveInputs(
      { classes: [load(['ask'], { humans, humanWaitMs: 3_600_000 })] },
      [url],
      { passes: 1, concurrency: 1, block: 'b' },
      context,
    );
    expect(driven.failures).toEqual([]);
    expect(seen.at(-1)?.body).toMatchObject({ input: 'ask', resume: { q1: { verdict: 'good' } } });
  });

  it('says why there was no answer', async () => {
    const { url } = await ingress();
    const classes = [load(['fail', 'ask', 'broken stream', 'fine'])];
    const { answered, failures } = await driveInputs({ classes }, [url], { passes: 1, concurrency: 1, block: 'b' }, context);
    expect(answered).toBe(1);
    expect(failures.map(({ input }) => input)).toEqual(['c 1', 'c 2', 'c 3']);
    expect(failures[0]?.reason).toContain('401 wrong key');
    expect(failures[1]?.reason).toContain('good?');
    const dead = await driveInputs({ classes: [load([1])] }, ['http://127.0.0.1:1'], { passes: 1, concurrency: 1, block: 'b' }, context);
    expect(dead.failures).toHaveLength(1);
  });
});
