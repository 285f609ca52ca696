import { randomUUID } from 'node:crypto';
import { type Message, type SendMessageRequest, type StreamResponse, type Task, TaskState } from '@a2a-js/sdk';
import { type CallError, toCallError } from '../../../compiler/contracts/index.ts';
import type { CallHandler, IncomingCall } from '../protocol.ts';
import { toJsonText } from '../wire/body.ts';
import { ChunkQueue } from '../wire/chunk-queue.ts';
import { cancelledError, drainingError, invalidError } from '../wire/errors.ts';
import { type InFlight, serveCall } from '../wire/incoming.ts';
import type { Exchange } from './exchange.ts';
import { agentMessage, decodeOwnRequest, errorMetadata, extensionUri, jsonMediaType, type ownCallOf, textPart } from './extension.ts';

export interface Serving {
  readonly handler: CallHandler;
  readonly inFlight: InFlight;
}

type OwnCall = NonNullable<ReturnType<typeof ownCallOf>>;

/** Answers a call of one of our units with a message: no task is kept, since nobody will ask for it. */
export async function answerOwn(
  { handler, inFlight }: Serving,
  exchange: Exchange,
  target: string,
  request: SendMessageRequest,
  own: OwnCall,
): Promise<Message> {
  inFlight.begin();
  try {
    const incoming = incomingOf(inFlight, exchange, target, request, own);
    if (incoming.pattern === 'stream') throw invalidError('a stream is asked for with SendStreamingMessage');
    const served = serveCall(handler, incoming, () => {});
    exchange.onGone((error) => served.cancel(error));
    const output = await served.result;
    return agentMessage([textPart(toJsonText(incoming.pattern === 'request' ? output : undefined, 'the output'), jsonMediaType)]);
  } catch (error) {
    return errorMessage(toCallError(error, target));
  } finally {
    inFlight.end();
  }
}

/** Chunks are artifacts of their own, the output is the last one; the state of the task says how it ended. */
export async function* streamOwn(
  { handler, inFlight }: Serving,
  exchange: Exchange,
  target: string,
  request: SendMessageRequest,
  own: OwnCall,
): AsyncGenerator<StreamResponse, void, undefined> {
  inFlight.begin();
  const ids = { taskId: randomUUID(), contextId: randomUUID() };
  let cancel: (error: CallError) => void = () => {};
  try {
    const incoming = incomingOf(inFlight, exchange, target, request, own);
    const queue = new ChunkQueue();
    const served = serveCall(handler, incoming, (chunk) => queue.push(toJsonText(chunk, 'a chunk')));
    cancel = (error) => served.cancel(error);
    exchange.onGone(cancel);
    served.result.then(
      (output) => queue.end(output),
      (error) => queue.fail(error),
    );
    yield { payload: { $case: 'task', value: workingTask(ids) } };
    const chunks = queue.drain();
    let count = 0;
    let next = await chunks.next();
    for (; !next.done; next = await chunks.next()) yield* artifact(ids, `chunk-${count++}`, next.value as string);
    yield* artifact(ids, outputArtifact, toJsonText(next.value, 'the output'));
    yield ended(ids, TaskState.TASK_STATE_COMPLETED, undefined);
  } catch (thrown) {
    const error = toCallError(thrown, target);
    yield ended(ids, error.code === 'cancelled' ? TaskState.TASK_STATE_CANCELED : TaskState.TASK_STATE_FAILED, error);
  } finally {
    cancel(cancelledError(target));
    inFlight.end();
  }
}

export const outputArtifact = 'output';

/** The SDK's client refuses a server-sent event above 4 MB, and escaping at most doubles JSON text. */
const pieceLength = 1024 * 1024;

interface Ids {
  readonly taskId: string;
  readonly contextId: string;
}

function* artifact(ids: Ids, artifactId: string, text: string): Generator<StreamResponse> {
  let start = 0;
  do {
    let end = Math.min(start + pieceLength, text.length);
    // Half a surrogate pair does not survive a protobuf string.
    if (end < text.length && /[\ud800-\udbff]/.test(text[end - 1] ?? '')) end -= 1;
    const parts = [textPart(text.slice(start, end), jsonMediaType)];
    yield {
      payload: {
        $case: 'artifactUpdate',
        value: {
          ...ids,
          artifact: { artifactId, name: '', description: '', parts, metadata: undefined, extensions: [] },
          append: start > 0,
          lastChunk: end === text.length,
          metadata: undefined,
        },
      },
    };
    start = end;
  } while (start < text.length);
}

const workingTask = ({ taskId, contextId }: Ids): Task => ({
  id: taskId,
  contextId,
  status: { state: TaskState.TASK_STATE_WORKING, message: undefined, timestamp: undefined },
  artifacts: [],
  history: [],
  metadata: undefined,
});

function ended(ids: Ids, state: TaskState, error: CallError | undefined): StreamResponse {
  const message = error && agentMessage([textPart(error.message)], ids);
  const status = { state, message, timestamp: new Date().toISOString() };
  return { payload: { $case: 'statusUpdate', value: { ...ids, status, metadata: error && errorMetadata(error) } } };
}

const errorMessage = (error: CallError): Message =>
  agentMessage([textPart(error.message)], { metadata: errorMetadata(error), extensions: [extensionUri] });

/** @throws CallError `invalid` or `unavailable` */
function incomingOf(
  inFlight: InFlight,
  exchange: Exchange,
  target: string,
  request: SendMessageRequest,
  own: OwnCall,
): Omit<IncomingCall, 'signal'> {
  if (inFlight.draining) throw drainingError(target);
  if (request.message === undefined) throw invalidError('the request has no message');
  const started = performance.now();
  const { meta, pattern, body, bodyBytes } = decodeOwnRequest(request.message, own, exchange.header);
  return {
    target,
    pattern,
    body,
    meta,
    wire: { requestBytes: bodyBytes, deserializeMs: exchange.parseMs + performance.now() - started },
  };
}
