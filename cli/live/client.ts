import { request as httpRequest, type IncomingMessage } from 'node:http';
import { DmasError, fail, type Problem } from '../../compiler/contracts/index.ts';
import type { ApplyRequest, LiveEvent, LiveFacts, LiveOutcome } from './contract.ts';

/** @throws DmasError DMAS_LIVE_NOT_FOUND when nobody answers */
export async function liveFacts(socket: string): Promise<LiveFacts> {
  return JSON.parse(await textOf(await ask(socket, 'GET', '/deployment'))) as LiveFacts;
}

/** Hands over a new configuration and follows what comes of it. Aborting `signal` asks for the way back, and goes on following. */
export async function applyLive(
  socket: string,
  wanted: ApplyRequest,
  heard: (event: LiveEvent) => void,
  signal: AbortSignal,
): Promise<LiveOutcome> {
  const answering = ask(socket, 'PUT', '/configuration', wanted);
  const abort = () => void ask(socket, 'DELETE', '/configuration').catch(() => {});
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    let outcome: LiveOutcome | undefined;
    await eachLine(await answering, (line) => {
      const event = JSON.parse(line) as LiveEvent;
      if (event.type === 'ended') outcome = event.outcome;
      heard(event);
    });
    if (outcome === undefined)
      fail('DMAS_LIVE_NOT_FOUND', 'the deployment ended while it was being changed', { fix: 'See its own output and its run folder.' });
    return outcome;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function ask(socket: string, method: string, path: string, body?: unknown): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const gone = (error: Error) =>
      reject(
        new DmasError({ code: 'DMAS_LIVE_NOT_FOUND', severity: 'error', message: `the deployment does not answer: ${error.message}` }),
      );
    const outgoing = httpRequest({ socketPath: socket, method, path, agent: false }, (incoming) => {
      if ((incoming.statusCode ?? 0) < 400) return resolve(incoming);
      textOf(incoming).then((text) => reject(new DmasError(JSON.parse(text) as Problem[])), gone);
    });
    outgoing.on('error', gone);
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of incoming as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}

async function eachLine(incoming: IncomingMessage, take: (line: string) => void): Promise<void> {
  let pending = '';
  incoming.setEncoding('utf8');
  try {
    for await (const text of incoming as AsyncIterable<string>) {
      const lines = `${pending}${text}`.split('\n');
      pending = lines.pop() ?? '';
      for (const line of lines) take(line);
    }
  } catch {
    // It broke off: the missing last line says so.
  }
}
