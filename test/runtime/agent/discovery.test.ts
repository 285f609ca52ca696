import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CodeAgent, LlmAgent } from '../../../compiler/api/definitions.ts';
import { agent, codeAgent, llmAgent, mcpServer, tool, z } from '../../../compiler/api/index.ts';
import { type EffectPolicy, httpUrl } from '../../../compiler/contracts/index.ts';
import { startUnit } from '../../../runtime/agent/unit.ts';
import type { ChatModel, ChatRequest } from '../../../runtime/llm/backend.ts';
import type { StartedProcess } from '../../../runtime/process-life.ts';
import { mcp } from '../../../runtime/protocols/mcp.ts';
import { officialServer } from '../protocols/mcp/official-server.ts';
import { ask, bindingOf, programOf } from './harness.ts';

type Tools = Parameters<typeof officialServer>[0];
const clerk = agent('clerk', { input: z.object({ text: z.string() }), output: z.object({ text: z.string() }) });
const files = mcpServer('files');

let server: Awaited<ReturnType<typeof officialServer>>;
let tools: Tools;
let unit: StartedProcess | undefined;
let stateDir: string;
let spans: InMemorySpanExporter;

beforeEach(async () => {
  tools = new Map([['read', { readOnly: true }]]);
  stateDir = await mkdtemp(join(tmpdir(), 'dmas-discovery-'));
  spans = new InMemorySpanExporter();
});
afterEach(async () => {
  await unit?.close();
  await server.close();
  await rm(stateDir, { recursive: true, force: true });
  unit = undefined;
});

/** A unit with one agent, and a server that somebody else built. */
async function start(part: CodeAgent | LlmAgent, over: { ttlMs?: number; model?: ChatModel; effects?: EffectPolicy } = {}) {
  server = await officialServer(tools, over.ttlMs ?? 0);
  const address = 'unit://files/mcp';
  const application = {
    parts: [part],
    entry: clerk,
    groups: [['clerk']],
    samplingRatio: 1,
    ...(over.model === undefined ? {} : { model: over.model }),
  };
  const plain = programOf(application, 0);
  const route = {
    channel: 'clerk->files',
    from: 'clerk',
    to: 'files',
    protocol: 'mcp',
    options: mcp.options.parse({ listTtlMs: 0 }) as never,
    address,
    repeatable: false,
    balancing: 'least-outstanding' as const,
  };
  const program = {
    ...plain,
    toolServers: [part.options.toolServers?.[0] ?? files],
    protocols: [...plain.protocols, mcp],
    unit: { ...plain.unit, listens: [], routes: [route] },
  };
  const binding = {
    ...bindingOf(application, program, 0, stateDir),
    peers: { [address]: [{ replica: 0, instanceId: 'files.0', at: server.at, foreign: true }] },
    ...(over.effects === undefined ? {} : { effects: over.effects }),
  };
  unit = await startUnit(program, binding, { spanProcessors: [new SimpleSpanProcessor(spans)] });
  const door = unit.report.listen.ingress;
  if (door === undefined) throw new Error('no ingress');
  return { ask: async (text: string) => (await ask(httpUrl(door), { text })).body as { text: string } };
}

/** A model that calls the tool named first in the question, if it is offered, and then says what came of it. */
function obedient(seen: ChatRequest[]): ChatModel {
  const usage = { tokensIn: 1, tokensOut: 1, tokensCached: 0 };
  return {
    chat: async (request) => {
      seen.push(request);
      const last = request.messages.at(-1);
      const wanted = last?.role === 'user' ? (JSON.parse(last.content) as { text: string }).text.split(' ')[0] : undefined;
      const offered = request.tools.some((candidate) => candidate.name === wanted);
      const toolCalls = offered && wanted !== undefined ? [{ id: '1', name: wanted, arguments: JSON.stringify({ text: 'x' }) }] : [];
      return {
        text: toolCalls.length > 0 ? '' : (last?.content ?? ''),
        toolCalls,
        finish: toolCalls.length > 0 ? 'tool_calls' : 'stop',
        usage,
        firstChunkMs: 0,
      };
    },
  };
}

describe('tools found at run time', () => {
  it('are offered to a model, and a new one is offered without a new deployment', async () => {
    const seen: ChatRequest[] = [];
    const application = await start(llmAgent(clerk, { model: 'main', system: 's', toolServers: [files] }), { model: obedient(seen) });
    expect(await application.ask('read it')).toEqual({ text: 'read:x' });
    expect(seen[0]?.tools).toEqual([
      { name: 'read', description: 'read', parameters: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] } },
    ]);
    expect(await application.ask('shout it')).toEqual({ text: '{"text":"shout it"}' });
    tools.set('shout', { readOnly: true });
    expect(await application.ask('shout it')).toEqual({ text: 'shout:x' });
    tools.delete('read');
    expect(await application.ask('read it')).toEqual({ text: '{"text":"read it"}' });
  });

  it('are listed once for all who ask at once, and again only when the list no longer holds', async () => {
    const part = codeAgent(
      clerk,
      async (_, context) => {
        const lists = await Promise.all(Array.from({ length: 20 }, () => context.discover(files)));
        return { text: [...new Set(lists.map((list) => list.map(({ name }) => name).join(',')))].join(';') };
      },
      { toolServers: [files] },
    );
    const application = await start(part, { ttlMs: 60_000 });
    expect(await application.ask('')).toEqual({ text: 'read' });
    expect(await application.ask('')).toEqual({ text: 'read' });
    expect(server.countOf('tools/list')).toBe(1);
    tools.set('write', {});
    // The server says that its list is another one now, so it is asked again though the old one would still hold.
    server.toolsChanged();
    await expect.poll(async () => (await application.ask('')).text).toBe('read,write');
    expect(server.countOf('tools/list')).toBe(2);
  });

  it('with side effects are kept back while a run measures, unless they are allowed by name', async () => {
    const ran: string[] = [];
    for (const name of ['pay', 'mail']) tools.set(name, { run: ({ text }) => void ran.push(`${name} ${text}`) });
    tools.set('save', { idempotent: true, run: ({ text }) => void ran.push(`save ${text}`) });
    const part = codeAgent(
      clerk,
      async ({ text }, context) => {
        await context.toolNamed(files, text, { text: 'x' });
        return { text: 'done' };
      },
      { toolServers: [files] },
    );
    const application = await start(part, {
      effects: { modes: { mail: 'live' }, outside: ['files'], discovered: { readOnly: 'live', idempotent: 'live', sideEffect: 'stub' } },
    });
    for (const name of ['pay', 'mail', 'save']) expect(await application.ask(name)).toEqual({ text: 'done' });
    expect(ran).toEqual(['mail x', 'save x']);
    const stubbed = spans.getFinishedSpans().filter((span) => span.attributes['dmas.tool.stubbed'] === true);
    expect(stubbed.map((span) => span.name)).toEqual(['execute_tool pay']);
  });

  it('run for real where nothing is measured', async () => {
    const ran: string[] = [];
    tools.set('pay', { run: ({ text }) => void ran.push(text) });
    const part = codeAgent(clerk, async (_, context) => ({ text: String(await context.toolNamed(files, 'pay', { text: 'x' })) }), {
      toolServers: [files],
    });
    expect(await (await start(part)).ask('')).toEqual({ text: 'pay:x' });
    expect(ran).toEqual(['x']);
  });

  it('are a span of the tool around the hop, in one trace, which reaches the server', async () => {
    const part = codeAgent(clerk, async (_, context) => ({ text: String(await context.toolNamed(files, 'read', { text: 'x' })) }), {
      toolServers: [files],
    });
    await (await start(part)).ask('');
    const finished = spans.getFinishedSpans();
    const named = (name: string) => finished.find((span) => span.name === name);
    const [turn, run, hop] = ['invoke_agent clerk', 'execute_tool read', 'call files'].map(named);
    expect(run?.parentSpanContext?.spanId).toBe(turn?.spanContext().spanId);
    expect(hop?.parentSpanContext?.spanId).toBe(run?.spanContext().spanId);
    expect(hop?.attributes).toMatchObject({ 'rpc.system': 'mcp', 'dmas.channel': 'clerk->files' });
    const context = hop?.spanContext();
    const expected = `00-${context?.traceId}-${context?.spanId}-01`;
    const asked = server.asked.find(({ method }) => method === 'tools/call');
    expect(asked?.headers.traceparent).toBe(expected);
    expect(asked?.params._meta).toMatchObject({ traceparent: expected });
    expect(JSON.stringify(asked)).not.toContain('dmas-opt/call');
  });

  it('are refused where they are not declared, do not exist or fail', async () => {
    tools.set('break', {
      run: () => {
        throw new Error('no such file');
      },
    });
    const undeclared = mcpServer('others');
    const part = codeAgent(
      clerk,
      async ({ text }, context) => {
        const call = text === 'others' ? context.discover(undeclared) : context.toolNamed(files, text, { text: 'x' });
        return call.then(
          () => ({ text: 'done' }),
          (error) => ({ text: `${error.code} ${error.message}` }),
        );
      },
      { toolServers: [files] },
    );
    const application = await start(part);
    expect((await application.ask('others')).text).toBe('unknown clerk uses others without declaring it in its option toolServers');
    expect((await application.ask('nothing')).text).toBe('unknown files has no tool nothing');
    expect((await application.ask('break')).text).toBe('failed no such file');
    await server.close();
    expect((await application.ask('read')).text).toContain('unavailable');
  });

  it('of a server with known contracts are called by these, wherever the server is', async () => {
    const read = tool('read', { description: 'Reads', input: z.object({ text: z.string() }), output: z.string(), effect: 'readOnly' });
    const known = mcpServer('files', { tools: [read] });
    const part = codeAgent(clerk, async (_, context) => ({ text: await context.tool(read, { text: 'y' }) }), { toolServers: [known] });
    expect(await (await start(part)).ask('')).toEqual({ text: 'read:y' });
  });
});
