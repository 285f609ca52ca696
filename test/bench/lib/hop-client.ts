// The caller of hops.ts, in a process of its own. Takes one HopTask, sends one HopRow per case, then ends.
import { randomUUID } from 'node:crypto';
import { type AgentCard, Role } from '@a2a-js/sdk';
import { JsonRpcTransportFactory } from '@a2a-js/sdk/client';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { Pool } from 'undici';
import { type BindAddress, httpUrl } from '../../../compiler/contracts/index.ts';
import { a2aProtocol } from '../../../runtime/protocols/a2a/protocol.ts';
import { grpcProtocol } from '../../../runtime/protocols/grpc/protocol.ts';
import { httpJsonProtocol } from '../../../runtime/protocols/http-json/protocol.ts';
import type { Connection } from '../../../runtime/protocols/protocol.ts';
import { bareGrpcPath } from './hop-paths.ts';
import { closedLoop, quantile, ratioInterval } from './paired.ts';

export interface HopTask {
  /** Where each arm's server listens. */
  readonly at: { readonly [arm: string]: BindAddress };
  readonly pairs: number;
  readonly blockMs: number;
  readonly warmupMs: number;
  /** Part of `<protocol> <transport>`; empty for all. */
  readonly only: string;
}

export interface HopRow {
  readonly protocol: string;
  readonly options: { readonly transport: string };
  readonly size: number;
  readonly inflight: number;
  readonly ratio_p50: number;
  readonly ratio_low: number;
  readonly ratio_high: number;
  readonly ours_p50_ms: number;
  readonly bare_p50_ms: number;
  readonly n: number;
}

type Work = (body: unknown) => Promise<unknown>;
interface Arm {
  readonly work: Work;
  close(): Promise<void>;
}
const meta = {
  requestId: '6f1c2d3e-0000-4000-8000-000000000001',
  sessionId: 'session-1',
  from: 'planner',
  channel: 'planner->weather',
  remainingMs: 30_000,
  attempt: 1,
  trace: { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' },
};

function ours(connection: Connection): Arm {
  // As in a unit: one signal per incoming request, used by the calls it makes.
  const { signal } = new AbortController();
  const wire = () => ({ requestBytes: 0, responseBytes: 0, serializeMs: 0 });
  return {
    work: (body) => connection.call({ target: 'weather', pattern: 'request', body, meta, signal, wire: wire() }),
    close: () => connection.close(),
  };
}

function bareHttp(at: BindAddress): Arm {
  const pool = new Pool('port' in at ? httpUrl(at) : 'http://localhost', 'path' in at ? { socketPath: at.path } : {});
  return {
    async work(body) {
      const reply = await pool.request({
        path: '/weather',
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      return reply.body.json();
    },
    close: () => pool.destroy(),
  };
}

function bareGrpc(at: BindAddress): Arm {
  if ('path' in at) throw new TypeError('the bare gRPC arm is over TCP');
  const client = new Client(`${at.host}:${at.port}`, credentials.createInsecure());
  const serialize = (value: unknown) => Buffer.from(JSON.stringify(value));
  const deserialize = (bytes: Buffer): unknown => JSON.parse(bytes.toString('utf8'));
  return {
    work: (body) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest<unknown, unknown>(bareGrpcPath, serialize, deserialize, body, new Metadata(), {}, (error, reply) =>
          error ? reject(error) : resolve(reply),
        );
      }),
    close: async () => client.close(),
  };
}

/** The SDK's client as it comes, over JSON-RPC whatever binding it is compared with: what one would start from. */
function bareA2a(at: BindAddress): Arm {
  const transport = new JsonRpcTransportFactory().create(httpUrl(at), {} as AgentCard);
  return {
    async work(body) {
      const parts = [{ content: { $case: 'data', value: body } as const, metadata: undefined, filename: '', mediaType: '' }];
      const message = {
        messageId: randomUUID(),
        contextId: '',
        taskId: '',
        role: Role.ROLE_USER,
        parts,
        metadata: undefined,
        extensions: [],
        referenceTaskIds: [],
      };
      const request = { tenant: '', message, configuration: undefined, metadata: undefined };
      return (await transport).sendMessage(request, { serviceParameters: { 'A2A-Version': '1.0' } });
    },
    close: async () => {},
  };
}

/** A JSON object of about the given size, like a message between agents: some text, some numbers, some nesting. */
function bodyOf(sizeBytes: number): unknown {
  const item = {
    id: 17,
    title: 'Lisbon in spring',
    score: 0.8731,
    tags: ['travel', 'weather'],
    text: 'mild and sunny, light wind from the west',
  };
  const items: unknown[] = [];
  while (JSON.stringify(items).length < sizeBytes - 160) items.push(item);
  return { items };
}

async function compare(
  task: HopTask,
  protocol: string,
  transport: string,
  oursArm: Arm,
  bareArm: Arm,
  size: number,
  inflight: number,
): Promise<HopRow> {
  const { pairs, blockMs, warmupMs } = task;
  const body = bodyOf(size);
  const block = async (arm: Arm, durationMs: number) => quantile(await closedLoop(() => arm.work(body), inflight, durationMs), 0.5);
  await block(oursArm, warmupMs);
  await block(bareArm, warmupMs);
  const medians: { ours: number; bare: number }[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    // Which arm goes first alternates, so that a drift of the machine favours neither.
    if (pair % 2 === 0) medians.push({ ours: await block(oursArm, blockMs), bare: await block(bareArm, blockMs) });
    else {
      const bare = await block(bareArm, blockMs);
      medians.push({ ours: await block(oursArm, blockMs), bare });
    }
  }
  const ratio = ratioInterval(medians.map((pair) => pair.ours / pair.bare));
  const round = (value: number) => Number(value.toFixed(4));
  return {
    protocol,
    options: { transport },
    size,
    inflight,
    ratio_p50: round(ratio.point),
    ratio_low: round(ratio.low),
    ratio_high: round(ratio.high),
    ours_p50_ms: round(
      quantile(
        medians.map((pair) => pair.ours),
        0.5,
      ),
    ),
    bare_p50_ms: round(
      quantile(
        medians.map((pair) => pair.bare),
        0.5,
      ),
    ),
    n: pairs,
  };
}

async function main(task: HopTask): Promise<void> {
  const address = (arm: string): BindAddress => {
    const found = task.at[arm];
    if (found === undefined) throw new Error(`the server has no ${arm}`);
    return found;
  };
  const to = (arm: string) => ({ replica: 0, instanceId: arm, at: address(arm) });
  const cases = [
    ['http-json', 'tcp', ours(httpJsonProtocol.connect(to('http-json tcp'), {})), bareHttp(address('bare http tcp'))],
    ['http-json', 'unix', ours(httpJsonProtocol.connect(to('http-json unix'), {})), bareHttp(address('bare http unix'))],
    ...(['json-rpc', 'rest', 'grpc'] as const).map(
      (binding) => ['a2a', binding, ours(a2aProtocol.connect(to(`a2a ${binding}`), { binding })), bareA2a(address('bare a2a'))] as const,
    ),
    ['grpc', 'tcp', ours(grpcProtocol.connect(to('grpc tcp'), {})), bareGrpc(address('bare grpc tcp'))],
  ] as const;
  for (const [protocol, transport, oursArm, bareArm] of cases) {
    if (`${protocol} ${transport}`.includes(task.only)) {
      for (const size of [1024, 65_536]) {
        for (const inflight of [1, 16]) process.send?.(await compare(task, protocol, transport, oursArm, bareArm, size, inflight));
      }
    }
    await oursArm.close();
    await bareArm.close();
  }
  process.disconnect();
}

process.once('message', (task) => main(task as HopTask));
