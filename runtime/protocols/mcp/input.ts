import {
  acceptedContent,
  CLIENT_CAPABILITIES_META_KEY,
  type InputRequiredResult,
  inputRequired,
  type ServerContext,
} from '@modelcontextprotocol/server';
import type { CallError, InputRequest } from '../../../compiler/contracts/index.ts';
import type { CallMeta } from '../protocol.ts';
import { isObject } from './wire.ts';

/** Name of the one question of a round, and of the one field of its answer. */
const questionKey = 'answer';

/** What travels through the client between the question and the answer. */
interface State {
  readonly session: string;
  readonly id: string;
}

/**
 * The question of a component that waits for a person, in MCP's words: an `input_required` result with one elicitation
 * (before 2026-07-28 the SDK asks by `elicitation/create` while the call is open; no turn of ours is). Undefined when the
 * error is another or the client cannot ask anybody; it then gets the error as a tool error.
 */
export function askForInput(error: CallError, sessionId: string, context: ServerContext): InputRequiredResult | undefined {
  if (error.code !== 'inputRequired' || !canAsk(context)) return undefined;
  const { id, prompt } = (error.value.details ?? {}) as Partial<InputRequest>;
  if (id === undefined) return undefined;
  const message = typeof prompt === 'string' ? prompt : JSON.stringify(prompt ?? error.value.message);
  // What a stranger's session is called nobody can guess, so knowing its name is the right to go on with it.
  const state: State = { session: sessionId, id };
  return inputRequired({
    inputRequests: {
      [questionKey]: inputRequired.elicit({
        message,
        requestedSchema: { type: 'object', properties: { [questionKey]: { type: 'string' } }, required: [questionKey] },
      }),
    },
    requestState: Buffer.from(JSON.stringify(state)).toString('base64url'),
  });
}

/** The session and the answer of a call that comes back with one. */
export function resumedBy(context: ServerContext): Partial<CallMeta> {
  const raw = context.mcpReq.requestState<string>();
  const content = acceptedContent(context.mcpReq.inputResponses, questionKey);
  if (typeof raw !== 'string' || content === undefined) return {};
  let state: unknown;
  try {
    state = JSON.parse(Buffer.from(raw, 'base64url').toString('utf8'));
  } catch {
    return {};
  }
  if (!isObject(state) || typeof state.session !== 'string' || typeof state.id !== 'string') return {};
  return { sessionId: state.session, resume: { [state.id]: content[questionKey] } };
}

/** In the stateless revision the envelope of the request says it; before, the handshake did, and the SDK checks that itself. */
function canAsk(context: ServerContext): boolean {
  const envelope: unknown = context.mcpReq.envelope;
  if (!isObject(envelope)) return true;
  const capabilities = envelope[CLIENT_CAPABILITIES_META_KEY];
  return isObject(capabilities) && capabilities.elicitation !== undefined;
}
