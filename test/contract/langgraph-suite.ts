import { afterEach, describe, expect, it } from 'vitest';
import { type CompiledGraph, missingFields } from '../../compiler/frontends/langgraph/fields.ts';
import { grpc } from '../../runtime/protocols/grpc.ts';
import { httpJson } from '../../runtime/protocols/http-json.ts';
import type { Deployed } from '../runtime/agent/harness.ts';
import type { Version } from './langgraph-graphs.ts';
import * as graphs from './langgraph-graphs.ts';
import { deployGraph, type GraphDeployment, hopsOf, layouts } from './langgraph-layouts.ts';

const places = layouts.flatMap((layout) =>
  (layout === 'one unit' ? [httpJson] : [httpJson, grpc]).map((protocol) => [`${layout}, ${protocol.id}`, { layout, protocol }] as const),
);

/** Ids of messages are made up anew in each run; numbered in order of appearance they can be compared. */
function withoutIds(value: unknown, known = new Map<string, string>()): unknown {
  const text = JSON.stringify(value);
  return JSON.parse(
    text.replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, (id) => {
      if (!known.has(id)) known.set(id, `id-${known.size}`);
      return known.get(id) ?? id;
    }),
  );
}

/** What must hold of an installed version of LangGraph.js, wherever its nodes run. */
export function langgraphContract(version: Version): void {
  const open: Deployed[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((deployed) => deployed.close()));
  });
  const kit = version.lib;
  const start = async (make: () => unknown, where: Pick<GraphDeployment, 'layout'> & Partial<GraphDeployment>) => {
    const deployed = await deployGraph({ make, kit, ...where });
    open.push(deployed);
    return deployed;
  };
  const session = (id: string) => ({ 'x-dmas-session': id });

  it('has every field that is used', () => {
    const made = [graphs.toolLoop, graphs.commands, graphs.joins, graphs.subgraphs, graphs.approval, graphs.streaming, graphs.handled];
    for (const make of made) expect(missingFields(make(version) as unknown as CompiledGraph), make.name).toEqual([]);
    const broken = graphs.joins(version) as unknown as { nodes: Record<string, { bound: unknown }> };
    (broken.nodes.split as { bound: unknown }).bound = {};
    expect(missingFields(broken as unknown as CompiledGraph)).toEqual(['nodes.split.bound']);
  });

  describe.each(places)('%s', (_, where) => {
    it('gives the graph’s own state: messages, tool calls, branches', async () => {
      const input = { messages: [{ role: 'user', content: 'add up' }] };
      const own = await graphs.toolLoop(version).invoke(input as never);
      const app = await start(() => graphs.toolLoop(version), where);
      const { status, body } = await app.ask(input);
      expect(status).toBe(200);
      const { messages } = body as { messages: { type: string; content: string; tool_calls?: object[] }[] };
      expect(messages.map(({ type, content }) => [type, content])).toEqual(
        own.messages.map((message) => [message.getType(), message.content]),
      );
      expect(messages[1]?.tool_calls).toEqual([{ id: 'call-0', name: 'add', args: { a: 0, b: 1 } }]);
    });

    it.each([
      ['Command and Send', graphs.commands],
      ['forks, joins and deferred nodes', graphs.joins],
      ['sub-graphs and commands for the graph above', graphs.subgraphs],
      ['error handlers', graphs.handled],
      ['values that are not JSON', graphs.values],
    ] as const)('gives the graph’s own state: %s', async (_name, make) => {
      const input = { topic: 'x' };
      const own = await make(version).invoke(input as never);
      const app = await start(() => make(version), where);
      const { status, body } = await app.ask(input);
      expect(status, JSON.stringify(body)).toBe(200);
      const { log, kinds } = own as unknown as { log?: string[]; kinds?: string[] };
      expect(body).toMatchObject(log === undefined ? { kinds } : { log });
      expect((log ?? kinds)?.length).toBeGreaterThan(1);
    });

    it('pauses at interrupt, and goes on with the answers, one after the other', async () => {
      const app = await start(() => graphs.approval(version), where);
      const [first, second, third] = [
        await app.ask({ topic: 'news' }, session('s')),
        await app.ask({ command: { resume: 'yes' } }, session('s')),
        await app.ask({ command: { resume: 'sure' } }, session('s')),
      ];
      expect(first?.body).toMatchObject({
        code: 'inputRequired',
        component: 'app',
        details: { component: 'app', prompt: { question: 'publish?', seen: 1 } },
      });
      expect(second?.body).toMatchObject({ code: 'inputRequired', details: { prompt: { question: 'really?', first: 'yes' } } });
      expect(third?.body).toMatchObject({ log: ['draft news', 'yes/sure', 'published'] });
      const ids = [first, second].map((answer) => (answer?.body as { details?: { id: string } } | undefined)?.details?.id);
      expect(ids[0]).toMatch(/^app:[0-9a-f]{32}\.0\.[0-9a-f]{8}$/);
      expect(ids[1]).toMatch(new RegExp(`^${ids[0]?.slice(0, 36)}\\.1\\.`));
      // The thread is the session: its state is there for the next request, and for no other session.
      expect(JSON.stringify((await app.ask({ command: { resume: 'x' } }, session('other'))).body)).not.toContain('news');
    });

    it('takes answers by the ids of the questions, as they travel with a call', async () => {
      const app = await start(() => graphs.twoAsk(version), where);
      const call = await directCall(app, where.protocol);
      const asked = async (resume?: { [id: string]: unknown }) =>
        (await call({ topic: 'x' }, 'pair', resume).catch((error) => error)) as Paused;
      const first = await asked();
      expect(first).toMatchObject({ code: 'inputRequired' });
      const second = await asked({ [first.value.details.id]: 'A', 'other-agent.1f.1': 'not mine' });
      expect(second).toMatchObject({ code: 'inputRequired' });
      expect(second.value.details.id).not.toBe(first.value.details.id);
      const [before, after] = [first.value.details.prompt, second.value.details.prompt].map((prompt) => String(prompt).replace('?', ''));
      const done = (await asked({ [first.value.details.id]: 'A', [second.value.details.id]: 'B' })) as unknown as { log: string[] };
      expect(done.log).toEqual(expect.arrayContaining([`${before} A`, `${after} B`]));
      expect(await asked({ [first.value.details.id]: 'late' })).toMatchObject({ code: 'invalid' });
    });

    it('stops at breakpoints', async () => {
      const app = await start(() => graphs.breakpoint(version), where);
      const call = await directCall(app, where.protocol);
      const paused = (await call({ topic: 'x' }, 'b').catch((error) => error)) as Paused;
      expect(paused).toMatchObject({ code: 'inputRequired', value: { details: { prompt: { breakpoint: ['leap'] } } } });
      expect(await call({ topic: 'x' }, 'b', { [paused.value.details.id]: true })).toMatchObject({ log: ['look', 'leap'] });
    });

    it('lets the graph’s own retry policy see a node’s errors', async () => {
      const tries = new Map<string, number>();
      const app = await start(() => graphs.retries(version, tries), where);
      const [flaky, fatal] = [await app.ask({ topic: 'flaky' }), await app.ask({ topic: 'fatal' })];
      expect(flaky.body).toMatchObject({ log: ['first', 'try 3'] });
      expect(fatal.body).toMatchObject({ code: 'failed', message: 'cannot be', component: 'app' });
      expect([...tries]).toEqual([
        ['flaky', 3],
        ['fatal', 1],
      ]);
    });

    it('streams tokens and custom chunks as they come', async () => {
      const input = { messages: [{ role: 'user', content: 'hi' }] };
      const own: unknown[] = [];
      for await (const part of await graphs.streaming(version).stream(input as never, { streamMode: ['messages', 'custom', 'updates'] }))
        own.push(part);
      const app = await start(() => graphs.streaming(version), where);
      const chunks = await streamed(app, { input, stream_mode: ['messages', 'custom', 'updates'] });
      const shapeOf = (mode: unknown, data: unknown) => {
        if (mode !== 'messages') return [mode, mode === 'custom' ? data : Object.keys(data as object)];
        const [message, metadata] = data as [{ content: string; type?: string }, { langgraph_node: string; langgraph_step: number }];
        return [mode, message.content, metadata.langgraph_node, metadata.langgraph_step];
      };
      expect(own.length).toBeGreaterThanOrEqual(6);
      expect(chunks.slice(0, -1).map((event) => shapeOf(event.chunk?.mode, event.chunk?.data))).toEqual(
        own.map((part) => shapeOf(...(part as [unknown, unknown]))),
      );
      const output = chunks.at(-1)?.output as { messages: { content: string }[] } | undefined;
      expect(output?.messages.at(-1)?.content).toBe('Hello you');
    });

    it('gives nodes the store, the configuration, the context and the thread', async () => {
      const app = await start(() => graphs.surroundings(version), where);
      const { body } = await app.ask(
        { input: { topic: 't' }, config: { configurable: { user: 'u' } }, context: { tone: 'dry' } },
        session('s1'),
      );
      expect(body).toMatchObject({ log: ['thread s1', '{"text":"t","user":"u"} true 1 {"tone":"dry"}'] });
      // Nobody from outside gets at the store.
      expect((await app.ask({ '$dmas-opt:store': { plain: [] } })).body).toMatchObject({ code: 'invalid' });
    });

    it('stops a node when nobody waits for it any more', async () => {
      const stopped: string[] = [];
      const app = await start(() => graphs.patient(version, stopped), { ...where, deadlineMs: 400 });
      const { body } = await app.ask({ topic: 'deadline' });
      expect(body).toMatchObject({ code: 'deadline' });
      expect((await app.ask({ topic: 'sibling' })).body).toMatchObject({ message: 'the other branch failed' });
      await expect.poll(() => [...stopped].sort()).toEqual(['deadline', 'sibling']);
    });

    it('shows each step of each node in one unbroken trace', async () => {
      const app = await start(() => graphs.commands(version), where);
      await app.ask({ topic: 'x' });
      const spans = app.spans.getFinishedSpans();
      expect(new Set(spans.map((span) => span.spanContext().traceId)).size).toBe(1);
      const ids = new Set(spans.map((span) => span.spanContext().spanId));
      expect(spans.filter((span) => span.parentSpanContext !== undefined && !ids.has(span.parentSpanContext.spanId))).toEqual([]);
      const turns = spans.filter((span) => span.name.startsWith('invoke_agent ')).map((span) => span.name.slice('invoke_agent '.length));
      expect(turns.sort()).toEqual(['app', 'judge', 'judge', 'plan', 'plan', ...Array(6).fill('work')]);
      const sends = spans.filter((span) => span.attributes['langgraph.triggers'] === '__pregel_push');
      expect(sends.map((span) => span.attributes['langgraph.node'])).toEqual(Array(6).fill('work'));
    });
  });

  describe('neighbouring nodes in one other unit', () => {
    const chainOf = async (layout: GraphDeployment['layout']) => {
      const ran: string[] = [];
      const app = await start(() => graphs.chain(version, ran), { layout });
      const { body } = await app.ask({});
      return { body, ran, hops: hopsOf(app) };
    };

    it('are called together: one round trip for the whole chain, the same state, nothing run twice', async () => {
      const ran: string[] = [];
      const own = await graphs.chain(version, ran).invoke({});
      const together = await chainOf('all nodes in one other unit');
      const apart = await chainOf('a unit per node');
      expect(together.body).toEqual(own);
      expect(apart.body).toEqual(own);
      expect(together.ran).toEqual(ran);
      expect(apart.ran).toEqual(ran);
      expect(together.hops).toEqual(['app->one']);
      expect(apart.hops).toHaveLength(ran.length);
      const partly = await chainOf(() => [['three'], ['one', 'two']]);
      expect(partly.body).toEqual(own);
      expect(partly.hops).toEqual(['app->one']);
    });

    it('give messages the same ids on both sides', async () => {
      const app = await start(() => graphs.toolLoop(version), { layout: 'all nodes in one other unit' });
      const { body } = await app.ask({ messages: [{ role: 'user', content: 'x' }] });
      const { messages } = body as { messages: { id: string }[] };
      expect(hopsOf(app)).toEqual(['app->agent']);
      expect(new Set(messages.map(({ id }) => id)).size).toBe(6);
      expect(withoutIds(messages)).toBeDefined();
    });

    it('come apart where the loop is needed', async () => {
      const forked = await start(() => graphs.joins(version), { layout: 'all nodes in one other unit' });
      await forked.ask({ topic: 'x' });
      expect([...hopsOf(forked)].sort()).toEqual(['app->both', 'app->last', 'app->long', 'app->longer', 'app->short', 'app->split']);
      const asking = await start(() => graphs.approval(version), { layout: 'all nodes in one other unit' });
      await asking.ask({ topic: 'x' }, session('s'));
      expect(hopsOf(asking)).toEqual(['app->draft', 'app->review']);
      const stopping = await start(() => graphs.breakpoint(version), { layout: 'all nodes in one other unit' });
      await stopping.ask({ topic: 'x' }, session('s'));
      expect(hopsOf(stopping)).toEqual(['app->look']);
    });
  });

  it('goes on with a pause whichever replica of a node takes it', async () => {
    const app = await start(() => graphs.approval(version), { layout: 'a unit per node', replicas: [1, 2, 2, 2] });
    for (const id of ['a', 'b', 'c', 'd'])
      expect((await app.ask({ topic: id }, session(id))).body).toMatchObject({ code: 'inputRequired' });
    for (const id of ['a', 'b', 'c', 'd'])
      expect((await app.ask({ command: { resume: 1 } }, session(id))).body).toMatchObject({ code: 'inputRequired' });
    for (const id of ['a', 'b', 'c', 'd'])
      expect((await app.ask({ command: { resume: 2 } }, session(id))).body).toMatchObject({ log: [`draft ${id}`, '1/2', 'published'] });
  });
}

interface Paused {
  readonly value: { readonly details: { readonly id: string; readonly prompt: unknown } };
}

interface Event {
  readonly chunk?: { readonly mode: string; readonly data: unknown };
  readonly output?: unknown;
}

async function streamed(app: Deployed, input: unknown): Promise<Event[]> {
  const response = await fetch(`${app.urls[0]}/`, {
    method: 'POST',
    headers: { accept: 'text/event-stream' },
    body: JSON.stringify(input),
  });
  const text = await response.text();
  return text
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => JSON.parse(event.slice('data: '.length)) as Event);
}

/** Calls the hub as another unit would, with answers beside the message. */
async function directCall(app: Deployed & { readonly hub: string }, descriptor: typeof httpJson | typeof grpc) {
  const protocol = await descriptor.load();
  const [address] = Object.entries(app.peers).find(([name]) => name.startsWith('unit://unit0/'))?.[1] ?? [];
  if (address === undefined) throw new Error('the hub listens nowhere');
  return async (body: unknown, sessionId: string, resume?: { [id: string]: unknown }) => {
    const connection = protocol.connect(address, {});
    try {
      return await connection.call({
        target: app.hub,
        pattern: 'request',
        body,
        signal: AbortSignal.timeout(5_000),
        wire: { requestBytes: 0, responseBytes: 0, serializeMs: 0 },
        meta: {
          requestId: crypto.randomUUID(),
          sessionId,
          from: 'test',
          channel: 'test->app',
          remainingMs: 5_000,
          attempt: 1,
          trace: {},
          ...(resume === undefined ? {} : { resume }),
        },
      });
    } finally {
      await connection.close();
    }
  };
}
