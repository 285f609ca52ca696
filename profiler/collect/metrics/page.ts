import { pageLimitBytes } from './prometheus.ts';

/**
 * Fetches one page of metrics.
 * @throws when it does not answer 2xx in time, or with more than such a page may hold
 */
export async function fetchPage(url: string, timeoutMs: number): Promise<string> {
  const response = await fetch(url, {
    headers: { accept: 'text/plain;version=0.0.4' },
    // A page that lies elsewhere has an address of its own: nobody is asked whom the scenario does not name.
    redirect: 'error',
    signal: AbortSignal.timeout(timeoutMs),
  });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`${url} answered ${response.status}`);
  }
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    sizeBytes += piece.length;
    // Leaving the loop ends the transfer.
    if (sizeBytes > pageLimitBytes) throw new Error(`${url} sends more than ${pageLimitBytes} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}
