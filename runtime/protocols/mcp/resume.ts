import type { InputRequest } from '../../../compiler/contracts/index.ts';
import type { CallMeta } from '../protocol.ts';
import { isObject } from './wire.ts';

/** Ids of pauses that stand for an `input_required` result: all that must come back is in the id, so any replica can go on. */
const idPrefix = 'mcp:';

/** What goes into an id: the server's state, and per request of the round the field that takes a bare answer. */
interface Round {
  readonly state?: string;
  readonly asks: { readonly [name: string]: string };
}

/** The question in an `input_required` result; undefined when it is another result. */
export function questionOf(target: string, result: unknown): InputRequest | undefined {
  if (!isObject(result) || result.resultType !== 'input_required') return undefined;
  const requests = isObject(result.inputRequests) ? result.inputRequests : {};
  const asks = Object.entries(requests).map(([name, request]): [string, string] => [name, firstField(request)]);
  const round: Round = {
    ...(typeof result.requestState === 'string' ? { state: result.requestState } : {}),
    asks: Object.fromEntries(asks),
  };
  const params = Object.entries(requests).map(([name, request]) => [name, isObject(request) ? request.params : request] as const);
  return {
    id: `${idPrefix}${Buffer.from(JSON.stringify(round)).toString('base64url')}`,
    component: target,
    prompt: params.length === 1 ? params[0]?.[1] : Object.fromEntries(params),
  };
}

function firstField(request: unknown): string {
  const params = isObject(request) && isObject(request.params) ? request.params : {};
  const schema = isObject(params.requestedSchema) ? params.requestedSchema : {};
  return Object.keys(isObject(schema.properties) ? schema.properties : {})[0] ?? 'answer';
}

/**
 * Parameters that carry the answers of a pause back: an object as it is, anything else in the one field that was asked
 * for. With several requests in a round the answer is an object by their names.
 */
export function answersFor(resume: CallMeta['resume']): { readonly inputResponses?: unknown; readonly requestState?: string } {
  for (const [id, answer] of Object.entries(resume ?? {})) {
    const round = roundOf(id);
    if (round === undefined) continue;
    const names = Object.entries(round.asks);
    const responses = names.map(([name, field]) => {
      const own = names.length === 1 ? answer : isObject(answer) ? answer[name] : undefined;
      return [name, { action: 'accept', content: isObject(own) ? own : { [field]: own } }] as const;
    });
    return {
      ...(responses.length === 0 ? {} : { inputResponses: Object.fromEntries(responses) }),
      ...(round.state === undefined ? {} : { requestState: round.state }),
    };
  }
  return {};
}

function roundOf(id: string): Round | undefined {
  if (!id.startsWith(idPrefix)) return undefined;
  try {
    const round: unknown = JSON.parse(Buffer.from(id.slice(idPrefix.length), 'base64url').toString('utf8'));
    return isObject(round) && isObject(round.asks) ? (round as unknown as Round) : undefined;
  } catch {
    return undefined;
  }
}
