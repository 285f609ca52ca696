import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Starts a server on a free port of the loopback interface. */
export async function urlOf(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Asked {
  /** Requests so far, this one included. */
  readonly turn: number;
  readonly authorization: string;
  readonly stream: boolean;
}

const event = (data: unknown) => `data: ${JSON.stringify(data)}\n\n`;
const chunk = (delta: unknown, finish: string | null = null, more: object = {}) =>
  event({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }], ...more });
const done = 'data: [DONE]\n\n';
const usage = { prompt_tokens: 7, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 4 } };
const end = chunk({}, 'stop') + event({ choices: [], usage }) + done;
const stream = (response: ServerResponse) => response.writeHead(200, { 'content-type': 'text/event-stream' });
const json = (response: ServerResponse, status: number, body: unknown, headers: { [name: string]: string } = {}) =>
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
const refuse = (status: number, error: object, headers?: { [name: string]: string }) => (response: ServerResponse) =>
  json(response, status, { error }, headers);
const whole = (message: object, more: object = { usage }) => ({
  choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: 'stop' }],
  ...more,
});
/** The same answer in the form it was asked for. */
const answer = (response: ServerResponse, { stream: streamed }: Asked, text: string) =>
  streamed ? stream(response).end(chunk({ content: text }) + end) : json(response, 200, whole({ content: text }));
/** Pieces on the wire as they are, a moment apart, so that none of them travel together. */
const pieces = (response: ServerResponse, parts: readonly (string | Buffer)[], last: (response: ServerResponse) => unknown) => {
  stream(response);
  const next = (index: number) => {
    const part = parts[index];
    if (part === undefined) {
      last(response);
      return;
    }
    response.write(part);
    setTimeout(() => next(index + 1), 15);
  };
  next(0);
};
/** `č` is two bytes in UTF-8, the smile four; cut inside both. */
const split = Buffer.from(chunk({ content: 'dobrý den, čau 🙂' }));

/** Refuses twice as told, then answers. */
const recovering = (headers: () => { [name: string]: string }) => (response: ServerResponse, asked: Asked) =>
  asked.turn < 3 ? json(response, 429, { error: { message: 'slow down' } }, headers()) : answer(response, asked, 'back again');
const toolCall = (call: object) => (response: ServerResponse, asked: Asked) =>
  asked.stream
    ? stream(response).end(chunk({ tool_calls: [{ id: 'call_1', type: 'function', ...call }] }) + end)
    : json(response, 200, whole({ content: null, tool_calls: [{ id: 'call_1', type: 'function', ...call }] }));

/** Ways in which model endpoints fail in the field. */
const behaviours = {
  answering: (response: ServerResponse, asked: Asked) => answer(response, asked, 'all is well'),
  busy: refuse(429, { message: 'slow down' }),
  outOfQuota: refuse(429, { message: 'You exceeded your current quota.', code: 'insufficient_quota', type: 'insufficient_quota' }),
  crashing: refuse(500, { message: 'out of memory' }),
  gatewayPage: (response: ServerResponse) => response.writeHead(502, { 'content-type': 'text/html' }).end('<p>oh</p>'.repeat(20_000)),
  unauthorized: refuse(401, { message: 'wrong key sk-secret' }),
  leaking: (response: ServerResponse, { authorization, stream: streamed }: Asked) =>
    streamed
      ? stream(response).end(event({ error: { message: `who are you, ${authorization}?`, code: 401 } }))
      : json(response, 403, { error: { message: `who are you, ${authorization}?` } }),
  // As OpenAI, vLLM and llama.cpp word it.
  tooLongOpenAi: refuse(400, { message: 'too long', type: 'invalid_request_error', code: 'context_length_exceeded' }),
  tooLongVllm: refuse(400, {
    message: "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
    type: 'BadRequestError',
    code: 400,
  }),
  tooLongLlama: refuse(400, {
    message: 'the request exceeds the available context size. try increasing the context size or enable context shift',
    type: 'exceed_context_size_error',
    code: 400,
  }),
  tooLongInStream: (response: ServerResponse) =>
    stream(response).end(event({ error: { message: 'maximum context length is 4096 tokens', type: 'BadRequestError', code: 400 } })),
  dying: (response: ServerResponse) => response.destroy(),
  dyingInBody: (response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '5000' }).write('{"choices":[');
    setTimeout(() => response.destroy(), 20);
  },
  dyingInStream: (response: ServerResponse) => {
    stream(response).write(chunk({ content: 'half' }));
    setTimeout(() => response.destroy(), 20);
  },
  dyingInCharacter: (response: ServerResponse) => pieces(response, [split.subarray(0, split.indexOf(0xc4) + 1)], (r) => r.destroy()),
  endsEarly: (response: ServerResponse) => stream(response).end(chunk({ content: 'half' })),
  endsWithoutReason: (response: ServerResponse) => stream(response).end(chunk({ content: 'half' }) + done),
  emptyStream: (response: ServerResponse) => stream(response).end(),
  malformedChunk: (response: ServerResponse) => stream(response).end('data: {"choices": [\n\n'),
  garbage: (response: ServerResponse) => stream(response).end(Buffer.from('data: \u0000\uffff}{\n\n', 'latin1')),
  nullChunk: (response: ServerResponse) => stream(response).end(`data: null\n\n${end}`),
  choicesNoList: (response: ServerResponse) => stream(response).end(event({ choices: { 0: 'x' } }) + end),
  deltaNoObject: (response: ServerResponse) => stream(response).end(chunk('text') + end),
  contentNoText: (response: ServerResponse) => stream(response).end(chunk({ content: 5 }) + end),
  callsNoList: (response: ServerResponse) => stream(response).end(chunk({ tool_calls: { index: 0 } }) + end),
  errorInStream: (response: ServerResponse) => stream(response).end(event({ error: { message: 'engine died' } })),
  busyInStream: (response: ServerResponse) => stream(response).end(event({ error: { message: 'slow down', code: 429 } })),
  notJson: (response: ServerResponse) => response.writeHead(200, { 'content-type': 'application/json' }).end('<html>'),
  noChoice: (response: ServerResponse) => json(response, 200, { object: 'chat.completion', choices: [] }),
  noObject: (response: ServerResponse) => json(response, 200, ['choices']),
  noMessage: (response: ServerResponse) => json(response, 200, { choices: [{ index: 0, finish_reason: 'stop' }] }),
  textNoText: (response: ServerResponse) => json(response, 200, whole({ content: { text: 'x' } })),
  silent: () => {},
  stalls: (response: ServerResponse) => void stream(response).write(chunk({ role: 'assistant', content: '' })),
  stallsLate: (response: ServerResponse) => void stream(response).write(chunk({ content: 'half' })),
  stallsOnce: (response: ServerResponse, asked: Asked) =>
    asked.turn === 1 ? void stream(response).flushHeaders() : answer(response, asked, 'back again'),
  keepsAlive: (response: ServerResponse) =>
    pieces(response, [...Array.from({ length: 30 }, () => ': still here\n\n'), chunk({ content: 'patience' })], (r) => r.end(end)),
  splitCharacters: (response: ServerResponse) =>
    pieces(response, [split.subarray(0, split.indexOf(0xc4) + 1), split.subarray(split.indexOf(0xc4) + 1, -12), split.subarray(-12)], (r) =>
      r.end(end),
    ),
  recovering: recovering(() => ({ 'retry-after-ms': '5' })),
  recoveringInSeconds: recovering(() => ({ 'retry-after': '0' })),
  // Its clock is a day ahead; what counts is the distance between its two times.
  recoveringByDate: recovering(() => {
    const ahead = Date.now() + 86_400_000;
    return { date: new Date(ahead).toUTCString(), 'retry-after': new Date(ahead).toUTCString() };
  }),
  noUsage: (response: ServerResponse, { stream: streamed }: Asked) =>
    streamed
      ? stream(response).end(chunk({ content: 'twelve chars' }) + chunk({}, 'stop') + done)
      : json(response, 200, whole({ content: 'twelve chars' }, {})),
  oddUsage: (response: ServerResponse) =>
    json(
      response,
      200,
      whole({ content: 'ok' }, { usage: { prompt_tokens: 5, completion_tokens: 1, prompt_tokens_details: { cached_tokens: 90 } } }),
    ),
  argumentsNoJson: toolCall({ index: 0, function: { name: 'search', arguments: '{"query": boats' } }),
  argumentsAsObject: toolCall({ index: 0, function: { name: 'search', arguments: { query: 'boats' } } }),
  unknownTool: toolCall({ index: 0, function: { name: 'teleport', arguments: '{}' } }),
  callsWithoutIndex: (response: ServerResponse) =>
    stream(response).end(
      ['a', 'b'].map((id) => chunk({ tool_calls: [{ id, function: { name: `tool-${id}`, arguments: '{"x"' } }] })).join('') +
        chunk({ tool_calls: [{ function: { arguments: ':1}' } }] }) +
        end,
    ),
} as const satisfies Record<string, (response: ServerResponse, asked: Asked) => unknown>;

export type Behaviour = keyof typeof behaviours;

export interface BrokenEndpoint {
  readonly url: string;
  requests(): number;
  /** Most requests under way at one time. */
  mostAtOnce(): number;
  close(): Promise<void>;
}

/** `behaviour` may differ from request to request, which is counted from 1. */
export async function brokenEndpoint(behaviour: Behaviour | ((turn: number) => Behaviour)): Promise<BrokenEndpoint> {
  let turn = 0;
  let atOnce = 0;
  let most = 0;
  const server = createServer((request, response) => {
    most = Math.max(most, ++atOnce);
    let over = false;
    const leave = () => {
      if (!over) atOnce--;
      over = true;
    };
    // Whichever is first: the reply is complete, or its reader is gone.
    response.once('prefinish', leave).once('close', leave);
    void readText(request).then((text) => {
      turn++;
      const asked = { turn, authorization: request.headers.authorization ?? '', stream: text.includes('"stream":true') };
      behaviours[typeof behaviour === 'string' ? behaviour : behaviour(turn)](response, asked);
    });
  });
  const url = await urlOf(server);
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url, requests: () => turn, mostAtOnce: () => most, close };
}

function readText(request: IncomingMessage): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    request.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
    request.once('end', () => resolve(text));
  });
}
