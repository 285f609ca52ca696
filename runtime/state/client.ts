import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BindAddress, CallError } from '../../compiler/contracts/index.ts';
import { httpJsonProtocol } from '../protocols/http-json/protocol.ts';
import { assertStorable } from './json-value.ts';
import type { StateRequest } from './service.ts';
import type { StateStore, Versioned } from './store.ts';

const timeoutMs = 10_000;
/** Pauses before the repeats of a request: a restarting service is back within about a second. */
const repeatPausesMs = [50, 200, 800];

/**
 * A store behind a state service. Rejects with a CallError (`unavailable` when the service is gone). A write whose
 * fate is unknown is not repeated: the caller's compare-and-swap decides with a fresh `get`.
 */
export function connectStateService(at: BindAddress): StateStore {
  const connection = httpJsonProtocol.connect({ replica: 0, instanceId: '', at }, {});
  // Every process has one client, so one id says which process asked.
  const clientId = randomUUID();

  const once = (body: StateRequest) =>
    connection.call({
      target: 'state',
      pattern: 'request',
      body,
      meta: { requestId: clientId, sessionId: '', from: '', channel: 'state', remainingMs: timeoutMs, attempt: 1, trace: {} },
      signal: new AbortController().signal,
      wire: { requestBytes: 0, responseBytes: 0, serializeMs: 0 },
    });

  const ask = async (body: StateRequest): Promise<unknown> => {
    for (const pauseMs of repeatPausesMs) {
      try {
        return await once(body);
      } catch (error) {
        if (!isRepeatable(error, body)) throw error;
        await sleep(pauseMs);
      }
    }
    return once(body);
  };

  return {
    get: async (key) => ((await ask({ operation: 'get', key })) ?? undefined) as Versioned | undefined,
    async put(key, value, expected) {
      // Refused here, because on the wire it would only be a missing field.
      assertStorable(value);
      return (await ask({ operation: 'put', key, value, ...(expected === undefined ? {} : { expected }) })) as boolean;
    },
    async delete(key) {
      await ask({ operation: 'delete', key });
    },
    close: () => connection.close(),
  };
}

function isRepeatable(error: unknown, body: StateRequest): boolean {
  if (!(error instanceof CallError) || error.code !== 'unavailable') return false;
  return error.value.neverStarted === true || body.operation === 'get';
}
