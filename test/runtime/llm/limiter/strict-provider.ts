import { createServer } from 'node:http';
import { performance } from 'node:perf_hooks';
import { urlOf } from '../endpoints.ts';

/** A provider that writes down what it sees of its customers, whatever they may. */
export interface StrictProvider {
  readonly url: string;
  /** Most requests, and most tokens, that came within any stretch of so long. */
  most(windowMs: number): { readonly requests: number; readonly tokens: number };
  readonly seen: { readonly total: number; readonly atOnce: number; readonly mostAtOnce: number };
  close(): Promise<void>;
}

/** Replies after `replyMs`, or never; every call takes `tokensIn` and `tokensOut`. */
export async function strictProvider(replyMs: number | undefined, tokensIn: number, tokensOut: number): Promise<StrictProvider> {
  const arrivals: number[] = [];
  const seen = { total: 0, atOnce: 0, mostAtOnce: 0 };
  const server = createServer((request, response) => {
    arrivals.push(performance.now());
    seen.total++;
    seen.atOnce++;
    seen.mostAtOnce = Math.max(seen.mostAtOnce, seen.atOnce);
    response.once('close', () => {
      seen.atOnce--;
    });
    const usage = { prompt_tokens: tokensIn, completion_tokens: tokensOut };
    const choices = [{ index: 0, message: { role: 'assistant', content: 'ok' }, finish_reason: 'stop' }];
    request.resume().on('end', () => {
      if (replyMs === undefined) return;
      setTimeout(() => {
        response.setHeader('content-type', 'application/json');
        // What a customer knows to be over is over.
        seen.atOnce--;
        response.removeAllListeners('close');
        response.end(JSON.stringify({ choices, usage }));
      }, replyMs);
    });
  });
  const url = await urlOf(server);
  return {
    url: `${url}/v1`,
    seen,
    most: (windowMs) => {
      let most = 0;
      for (const [index, at] of arrivals.entries()) {
        // The window that begins with this arrival; one that ends exactly a window later is the next.
        let end = index;
        while (end < arrivals.length && (arrivals[end] ?? 0) < at + windowMs) end++;
        most = Math.max(most, end - index);
      }
      return { requests: most, tokens: most * (tokensIn + tokensOut) };
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
