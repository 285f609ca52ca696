import type { ServerCallContext } from '@a2a-js/sdk/server';
import type { CallError } from '../../../compiler/contracts/index.ts';

/** What the transport knows of one request; travels through the SDK in the state of its context. */
export interface Exchange {
  /** The component the path names; absent where the request's tenant says it. */
  readonly component: string | undefined;
  readonly header: (name: string) => string | undefined;
  /** Time spent reading the envelope. */
  readonly parseMs: number;
  /** Runs when the caller goes away before it was answered. */
  onGone(stop: (error: CallError) => void): void;
}

const key = 'dmas-opt';

export const exchangeState = (exchange: Exchange): Map<string, unknown> => new Map([[key, exchange]]);

export function exchangeOf(context: ServerCallContext): Exchange {
  return (context.state.get(key) as Exchange | undefined) ?? nobody;
}

const nobody: Exchange = { component: undefined, header: () => undefined, parseMs: 0, onGone: () => {} };
