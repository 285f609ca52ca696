import { createHash } from 'node:crypto';
import { CallError, type InputRequest } from '../../compiler/contracts/call-errors.ts';
import { canonicalJson } from '../../compiler/contracts/json.ts';
import type { Delivery } from './delivery.ts';
import { requireJson } from './json-safe.ts';

/** Gives the answer to a question, or rejects with `inputRequired` where there is none yet. */
export type Pause = (prompt: unknown, id?: string) => Promise<unknown>;

/**
 * The pauses of one turn. A pause without an id of its own is known by the agent, a digest of the turn's input and its
 * number in the turn: the same in every layout and each time the turn runs again, and never the same for two turns of one
 * agent with different inputs, so that a consent to one thing is not taken for a consent to another.
 */
export function pausesOf(agent: string, delivery: Pick<Delivery, 'body' | 'pattern' | 'scope'>): Pause {
  let count = 0;
  let digest: string | undefined;
  return async (prompt, own) => {
    const n = ++count;
    digest ??= createHash('sha256')
      .update(canonicalJson(delivery.body) ?? '')
      .digest('hex')
      .slice(0, 8);
    const id = own ?? `${agent}.${digest}.${n}`;
    const { resume } = delivery.scope;
    if (resume !== undefined && Object.hasOwn(resume, id)) return resume[id];
    requireJson(prompt, agent, 'prompt');
    if (delivery.pattern === 'send' || delivery.pattern === 'publish') throw nobodyWaits(agent, delivery.pattern);
    throw inputRequired({ id, component: agent, prompt: prompt ?? null });
  };
}

/** A pause on its way to the person, as every caller sees it. */
export const inputRequired = (request: InputRequest) =>
  new CallError({
    code: 'inputRequired',
    message: `${request.component} waits for an answer`,
    component: request.component,
    details: request,
  });

const nobodyWaits = (agent: string, pattern: string) =>
  new CallError({
    code: 'failed',
    message: `${agent} cannot pause: it handles a one-way message (${pattern}), so no caller could take its question to a person`,
    component: agent,
  });
