import {
  type CallbackManager,
  isCallbackManager,
  isMessage,
  type ModelRun,
  type RunConfig,
} from '../../../compiler/frontends/langgraph/fields.ts';
import type { Packer } from './envelope.ts';
import type { NodeChunk } from './messages.ts';

/** Chunks leave in the order they were said, though packing one may take longer than packing the next. */
export interface ChunkSender {
  send(make: () => Promise<NodeChunk>): void;
  /** Resolves when everything said so far has left. */
  settled(): Promise<void>;
}

export function chunkSender(emit: (chunk: NodeChunk) => void): ChunkSender {
  let queue = Promise.resolve();
  return {
    send: (make) => {
      queue = queue.then(make).then(emit);
      // A chunk that cannot be packed fails the node where it waits for the rest.
      queue.catch(() => {});
    },
    settled: () => queue,
  };
}

/**
 * In the node's process: a LangChain callback handler that reports the model calls of the node. Tokens only flow when
 * some handler asks the model to stream, which `lc_prefer_streaming` does, as LangGraph's own handler.
 */
export function modelReporter(sender: ChunkSender, packer: Packer) {
  const messageOf = (output: unknown): unknown => {
    const generation = (output as { generations?: { message?: unknown }[][] } | undefined)?.generations?.[0]?.[0];
    return isMessage(generation?.message) ? generation.message : undefined;
  };
  return {
    name: 'dmas-opt model reporter',
    lc_prefer_streaming: true,
    awaitHandlers: true,
    handleChatModelStart(
      _llm: unknown,
      _messages: unknown,
      run: string,
      _parent: unknown,
      _extra: unknown,
      tags?: readonly string[],
      metadata?: unknown,
      name?: string,
    ) {
      sender.send(async () => ({
        llm: 'start',
        run,
        tags: tags ?? [],
        metadata: await packer.pack(metadata ?? {}, 'metadata of a model call'),
        ...(name === undefined ? {} : { name }),
      }));
    },
    handleLLMNewToken(
      token: string,
      _index: unknown,
      run: string,
      _parent: unknown,
      _tags: unknown,
      fields?: { chunk?: { message?: unknown } },
    ) {
      const message = fields?.chunk?.message;
      sender.send(async () => ({ llm: 'token', run, token, chunk: await packer.pack(message ?? null, 'chunk of a model call') }));
    },
    handleLLMEnd(output: unknown, run: string) {
      const message = messageOf(output);
      sender.send(async () => ({
        llm: 'end',
        run,
        ...(message === undefined ? {} : { message: await packer.pack(message, 'reply of a model call') }),
      }));
    },
    handleLLMError(error: unknown, run: string) {
      sender.send(async () => ({ llm: 'error', run, message: error instanceof Error ? error.message : String(error) }));
    },
  };
}

/** In the hub: what a node says while it runs, repeated to the writer and the callback handlers of the node's task. */
export function chunkReceiver(config: RunConfig, packer: Packer): { take(chunk: NodeChunk): void; settled(): Promise<void> } {
  const runs = new Map<string, ModelRun>();
  const manager: CallbackManager | undefined = isCallbackManager(config.callbacks) ? config.callbacks : undefined;
  let queue = Promise.resolve();
  const repeat = async (chunk: NodeChunk): Promise<void> => {
    if ('custom' in chunk) {
      config.writer?.(await packer.unpack(chunk.custom));
      return;
    }
    if (chunk.llm === 'start') {
      if (manager === undefined) return;
      const own = manager.copy();
      own.addTags(chunk.tags, false);
      own.addMetadata({ ...((await packer.unpack(chunk.metadata)) as object), ...config.metadata }, false);
      const llm = { lc: 1, type: 'not_implemented', id: [chunk.name ?? 'model'] };
      const [run] = await own.handleChatModelStart(llm, [[]], undefined, undefined, undefined, undefined, undefined, chunk.name);
      if (run !== undefined) runs.set(chunk.run, run);
      return;
    }
    const run = runs.get(chunk.run);
    if (run === undefined) return;
    if (chunk.llm === 'token') {
      const message = await packer.unpack(chunk.chunk);
      const fields = message === null ? {} : { chunk: { text: chunk.token, message } };
      await run.handleLLMNewToken(chunk.token, undefined, undefined, undefined, undefined, fields);
      return;
    }
    runs.delete(chunk.run);
    if (chunk.llm === 'error') {
      await run.handleLLMError(new Error(chunk.message));
      return;
    }
    const message = chunk.message === undefined ? undefined : await packer.unpack(chunk.message);
    const text = typeof (message as { text?: unknown } | undefined)?.text === 'string' ? (message as { text: string }).text : '';
    await run.handleLLMEnd({ generations: [message === undefined ? [] : [{ text, message }]] });
  };
  return {
    take: (chunk) => {
      queue = queue.then(() => repeat(chunk));
      queue.catch(() => {});
    },
    settled: () => queue,
  };
}
