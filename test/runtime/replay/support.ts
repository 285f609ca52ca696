import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type CassetteEntry,
  httpUrl,
  type Json,
  type Peers,
  type PlannedService,
  type ProcessBinding,
  parseCassette,
  sealEntry,
  tapeAddress,
  type UnsealedEntry,
} from '../../../compiler/contracts/index.ts';
import { startModelService as startRecorder } from '../../../runtime/llm/recording-server.ts';
import { startModelService as startReplay } from '../../../runtime/llm/replay-server.ts';
import type { StartedProcess } from '../../../runtime/process-life.ts';
import { startTapeService } from '../../../runtime/replay/tape-service.ts';
import { urlOf } from '../llm/endpoints.ts';

/** An endpoint that never says the same twice, as live models do. */
export interface Upstream {
  readonly url: string;
  /** Requests as they came: path, headers and body. */
  readonly seen: { readonly path: string; readonly headers: IncomingMessage['headers']; readonly body: Json }[];
  close(): Promise<void>;
}

interface Asked {
  readonly stream?: boolean;
  readonly stream_options?: { readonly include_usage?: boolean };
  readonly tools?: readonly { readonly function: { readonly name: string } }[];
  readonly messages?: readonly { readonly role: string; readonly content: unknown }[];
}

export async function startUpstream(delayMs = 5): Promise<Upstream> {
  const seen: Upstream['seen'] = [];
  let replies = 0;
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (piece) => {
      text += piece;
    });
    request.on('end', () => {
      const body = (text === '' ? {} : JSON.parse(text)) as Asked;
      seen.push({ path: request.url ?? '', headers: request.headers, body: body as Json });
      const n = ++replies;
      setTimeout(() => answer(request.url ?? '', body, n, response, delayMs), delayMs);
    });
  });
  const url = await urlOf(server);
  return {
    url: `${url}/v1`,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(path: string, body: Asked, n: number, response: ServerResponse, delayMs: number): void {
  const json = (value: object) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  if (path.endsWith('/embeddings')) return void json({ object: 'list', data: [{ index: 0, embedding: [n, 0.5] }] });
  if (path.endsWith('/responses')) return void json({ id: `resp_${n}`, output_text: `Answer ${n}` });
  const usage = { prompt_tokens: 100 + n, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 64 } };
  const answered = body.messages?.some(({ role }) => role === 'tool') ?? false;
  const calls = answered ? [] : (body.tools ?? []).map(({ function: { name } }, index) => call(name, index, n));
  const text = `Reply ${n} of ${Date.now()}, with key sk-live-abcdefghijklmnop1234`;
  if (body.stream) {
    const chunk = (delta: object, finish: string | null = null) =>
      `data: ${JSON.stringify({ id: `c${n}`, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const pieces =
      calls.length > 0
        ? calls.map((tool_call, index) => ({ tool_calls: [{ index, ...tool_call }] }))
        : [...text.matchAll(/\S+\s*/g)].map(([content]) => ({ content }));
    pieces.forEach((piece, index) => {
      setTimeout(() => response.write(chunk(piece)), index * delayMs);
    });
    setTimeout(() => {
      response.write(chunk({}, calls.length > 0 ? 'tool_calls' : 'stop'));
      if (body.stream_options?.include_usage) response.write(`data: ${JSON.stringify({ id: `c${n}`, choices: [], usage })}\n\n`);
      response.end('data: [DONE]\n\n');
    }, pieces.length * delayMs);
    return;
  }
  const message = { role: 'assistant', content: calls.length > 0 ? null : text, ...(calls.length > 0 ? { tool_calls: calls } : {}) };
  json({
    id: `c${n}`,
    object: 'chat.completion',
    choices: [{ index: 0, message, finish_reason: calls.length > 0 ? 'tool_calls' : 'stop' }],
    usage,
  });
}

const call = (name: string, index: number, n: number) => ({
  id: `call_${Math.random().toString(36).slice(2, 14)}${n}${index}`,
  type: 'function',
  function: { name, arguments: JSON.stringify({ city: 'Oslo', place: index }) },
});

const free = { host: '127.0.0.1', port: 0 } as const;

export const bindingOf = (id: string, stateDir: string, peers: Peers = {}, replica = 0): ProcessBinding => ({
  deploymentId: 'test',
  id,
  replica,
  instanceId: `${id}.${replica}`,
  control: free,
  listen: { [`service://${id}`]: free },
  peers,
  otlpEndpoints: [],
  samplingRatio: 0,
  stateDir,
  queueLimit: 100,
  drainMs: 500,
});

const service = (id: string, kind: PlannedService['kind'], options: PlannedService['options']): PlannedService => ({
  id,
  kind,
  replicas: 1,
  resources: { vcpu: 0, memoryMb: 0 },
  options,
});

export const atOf = (started: StartedProcess, address: string) => {
  const at = started.report.listen[address];
  if (at === undefined) throw new Error(`${address} does not listen`);
  return at;
};

/** Everything a test starts, closed in reverse order. */
export function createStage() {
  const closing: (() => Promise<unknown>)[] = [];
  const keep = <T extends { close(): Promise<unknown> }>(one: T): T => {
    closing.push(() => one.close());
    return one;
  };
  return {
    keep,
    folder: async () => {
      const path = await mkdtemp(join(tmpdir(), 'dmas-replay-'));
      closing.push(() => rm(path, { recursive: true, force: true }));
      return path;
    },
    /** A recording proxy before an endpoint. Its cassette is complete once `close` is done. */
    recorder: async (upstream: string, stateDir: string, content: 'hash' | 'replies' | 'full' = 'replies') => {
      const planned = service('recorder-main', 'model', { backend: 'recording', target: 'main', upstream, content, ignore: [] });
      const started = keep(await startRecorder(planned, bindingOf('recorder-main', stateDir)));
      return {
        url: `${httpUrl(atOf(started, 'service://recorder-main'))}/v1`,
        file: join(stateDir, 'recorder-main.0.cassette.ndjson'),
        close: started.close,
      };
    },
    /** A tape and replicas of a replayed model that draw from it. */
    replay: async (
      cassette: string,
      options: { readonly tape?: PlannedService['options']; readonly model?: PlannedService['options']; readonly replicas?: number } = {},
    ) => {
      const stateDir = tmpdir();
      const tape = keep(await startTapeService(service('tape', 'tape', options.tape ?? {}), cassette, bindingOf('tape', stateDir)));
      const peers: Peers = { [tapeAddress]: [{ replica: 0, instanceId: 'tape.0', at: atOf(tape, tapeAddress) }] };
      const planned = service('model-main', 'model', { backend: 'replay', target: 'main', model: 'main', ...options.model });
      const models = await Promise.all(
        Array.from({ length: options.replicas ?? 1 }, async (_, replica) =>
          keep(await startReplay(planned, bindingOf('model-main', stateDir, peers, replica))),
        ),
      );
      const stats = async (started: StartedProcess) => (await fetch(`${httpUrl(started.report.control)}/stats`)).json() as never;
      return {
        urls: models.map((model) => `${httpUrl(atOf(model, 'service://model-main'))}/v1`),
        tape: async () => ((await stats(tape)) as { tape: never }).tape as { readonly [target: string]: never },
        tokens: async () =>
          Promise.all(
            models.map(
              async (model) =>
                ((await stats(model)) as { tokens: { main: never } }).tokens.main as {
                  tokensIn: number;
                  tokensCached: number;
                  tokensOut: number;
                },
            ),
          ),
      };
    },
    close: async () => {
      for (const close of closing.splice(0).reverse()) await close();
    },
  };
}

export const entriesOf = (text: string): readonly CassetteEntry[] => parseCassette(text).entries;

/** An entry of a model with chosen keys. */
export const modelEntry = (key: string, text: string, more: Partial<UnsealedEntry> = {}): CassetteEntry =>
  sealEntry({
    kind: 'model',
    target: 'main',
    keys: { exact: key, near: key, loose: key },
    occurrence: 1,
    request: { sizeBytes: 10 },
    reply: {
      sizeBytes: text.length,
      content: { text, toolCalls: [], finish: 'stop' },
      usage: { tokensIn: 100, tokensCached: 0, tokensOut: 10, tokensReasoning: 0 },
    },
    timing: { firstMs: 1, totalMs: 2 },
    ...more,
  });

export interface ChatAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    readonly choices: readonly {
      readonly message: {
        readonly content: string | null;
        readonly tool_calls?: readonly { readonly id: string; readonly function: object }[];
      };
    }[];
    readonly usage: { readonly prompt_tokens: number; readonly prompt_tokens_details: { readonly cached_tokens: number } };
    readonly error?: { readonly code: string; readonly message: string };
  };
}

export async function chat(
  url: string,
  messages: readonly Json[],
  more: object = {},
  headers: Record<string, string> = {},
): Promise<ChatAnswer> {
  const response = await fetch(`${url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'any', messages, ...more }),
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as ChatAnswer['body'] };
}

export const said = ({ body }: ChatAnswer) => body.choices[0]?.message.content;
