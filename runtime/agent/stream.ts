import { CallError } from '../../compiler/contracts/call-errors.ts';
import { ownCancellation } from './cancellation.ts';
import type { Scope } from './scope.ts';

/**
 * The chunks of a streamed call as an iterable. Leaving the loop early cancels the call. The call begins with the first
 * `next`, so an iterable nobody reads costs nothing.
 */
export async function* streamOf(
  scope: Scope,
  timeoutMs: number | undefined,
  begin: (scope: Scope, emit: (chunk: unknown) => void) => Promise<unknown>,
): AsyncGenerator<unknown, void> {
  const own = ownCancellation(timeoutMs ?? Number.POSITIVE_INFINITY, scope.cancellation);
  const chunks: unknown[] = [];
  let ended: { readonly error?: unknown } | undefined;
  let wake: () => void = () => {};
  const end = (how: { readonly error?: unknown }) => {
    ended = how;
    wake();
  };
  try {
    begin({ ...scope, cancellation: own.cancellation }, (chunk) => {
      chunks.push(chunk);
      wake();
    }).then(
      () => end({}),
      (error) => end({ error }),
    );
    for (;;) {
      while (chunks.length > 0) yield chunks.shift();
      if (ended !== undefined) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    if ('error' in ended) throw ended.error;
  } finally {
    if (ended === undefined) own.abort(new CallError({ code: 'cancelled', message: 'the caller stopped reading' }));
    own.close();
  }
}
