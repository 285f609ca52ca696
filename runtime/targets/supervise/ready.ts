import { request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const firstPollMs = 20;
const longestPollMs = 200;
const answerTimeoutMs = 5_000;
/** A proxy in between takes a connection first and drops it when nobody listens behind it. */
const keptOpenMs = 50;

/** Waits until a program that somebody else built takes calls: a path answers 2xx, or its port keeps a connection open. */
export async function waitProgramReady(
  at: { readonly host: string; readonly port: number },
  path: string | undefined,
  signal: AbortSignal,
) {
  for (let waitMs = firstPollMs; ; waitMs = Math.min(waitMs * 1.5, longestPollMs)) {
    signal.throwIfAborted();
    if (await (path === undefined ? takesConnections(at) : answersOk(at, path))) return;
    await sleep(waitMs, undefined, { signal });
  }
}

function takesConnections(at: { readonly host: string; readonly port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(at);
    let timer: NodeJS.Timeout | undefined;
    const end = (ready: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(ready);
    };
    socket.once('connect', () => {
      timer = setTimeout(() => end(true), keptOpenMs);
    });
    // Reading notices the other side's end.
    socket.resume();
    for (const event of ['error', 'end', 'close'] as const) socket.once(event, () => end(false));
  });
}

function answersOk(at: { readonly host: string; readonly port: number }, path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asking = request({ ...at, path, agent: false, timeout: answerTimeoutMs }, (response) => {
      response.resume();
      const { statusCode = 0 } = response;
      resolve(statusCode >= 200 && statusCode < 300);
    });
    asking.on('timeout', () => asking.destroy());
    asking.on('error', () => resolve(false));
    asking.end();
  });
}
