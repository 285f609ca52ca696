import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { createRandom, type Random } from '../../../compiler/contracts/index.ts';

type Attribute = { key: string; value: { stringValue: string } | { intValue: string } | { doubleValue: number } };
const attribute = (key: string, value: string | number): Attribute => ({
  key,
  value:
    typeof value === 'string' ? { stringValue: value } : Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value },
});

interface Made {
  readonly service: string;
  readonly span: { [key: string]: unknown };
}

/** An application of a supervisor, three workers in processes of their own, two MCP tools and one model. */
const workers = ['researcher', 'writer', 'critic'];

/** Spans of one request: about thirty, in the order in which they end. */
export function requestSpans(random: Random, startMs: number): Made[] {
  const made: Made[] = [];
  const id = (digits: number) =>
    Array.from({ length: digits / 8 }, () =>
      random
        .integer(2 ** 32)
        .toString(16)
        .padStart(8, '0'),
    ).join('');
  const traceId = id(32);
  const nano = (ms: number) => `${BigInt(Math.round(ms * 1000)) * 1000n}`;
  const span = (
    service: string,
    name: string,
    kind: number,
    parent: string | undefined,
    from: number,
    to: number,
    pairs: [string, string | number][],
  ) => {
    const spanId = id(16);
    made.push({
      service,
      span: {
        traceId,
        spanId,
        ...(parent === undefined ? {} : { parentSpanId: parent }),
        name,
        kind,
        startTimeUnixNano: nano(from),
        endTimeUnixNano: nano(to),
        attributes: pairs.map(([key, value]) => attribute(key, value)),
        status: {},
      },
    });
    return spanId;
  };
  let clock = startMs;
  const rootId = id(16);
  const agentId = id(16);
  let tokens = 400;
  for (const worker of workers) {
    const from = clock + 1;
    const client = span('supervisor', 'POST', 3, agentId, from, from + 300, [
      ['http.request.method', 'POST'],
      ['server.address', worker],
      ['server.port', 8080],
      ['http.response.status_code', 200],
    ]);
    const server = span(worker, 'POST /run', 2, client, from + 1, from + 299, [
      ['http.request.method', 'POST'],
      ['http.route', '/run'],
    ]);
    const agent = span(worker, `invoke_agent ${worker}`, 1, server, from + 2, from + 298, [
      ['gen_ai.operation.name', 'invoke_agent'],
      ['gen_ai.agent.name', worker],
    ]);
    for (let turn = 0; turn < 2; turn++) {
      const at = from + 3 + turn * 140;
      tokens += random.integer(300);
      const chat = span(worker, 'chat gpt-4o', 3, agent, at, at + 60 + random.integer(30), [
        ['gen_ai.operation.name', 'chat'],
        ['gen_ai.provider.name', 'openai'],
        ['gen_ai.request.model', 'gpt-4o'],
        ['gen_ai.usage.input_tokens', tokens],
        ['gen_ai.usage.output_tokens', 20 + random.integer(200)],
        ['gen_ai.conversation.id', traceId],
      ]);
      span(worker, 'POST', 3, chat, at, at + 59, [
        ['http.request.method', 'POST'],
        ['server.address', 'api.openai.com'],
      ]);
      const tool = span(worker, 'execute_tool search', 1, agent, at + 95, at + 130, [
        ['gen_ai.operation.name', 'execute_tool'],
        ['gen_ai.tool.name', 'search'],
      ]);
      const call = span(worker, 'tools/call search', 3, tool, at + 96, at + 129, [
        ['mcp.method.name', 'tools/call'],
        ['gen_ai.tool.name', 'search'],
      ]);
      span('search-server', 'tools/call search', 2, call, at + 97, at + 128, [
        ['mcp.method.name', 'tools/call'],
        ['gen_ai.tool.name', 'search'],
      ]);
    }
    clock = from + 300;
  }
  const push = (spanId: string, parent: string | undefined, name: string, kind: number, to: number, pairs: [string, string | number][]) => {
    span('supervisor', name, kind, parent, startMs, to, pairs);
    const last = made.at(-1);
    if (last) last.span.spanId = spanId;
  };
  push(agentId, rootId, 'invoke_agent supervisor', 1, clock + 2, [
    ['gen_ai.operation.name', 'invoke_agent'],
    ['gen_ai.agent.name', 'supervisor'],
  ]);
  push(rootId, undefined, 'POST /ask', 2, clock + 3, [
    ['http.request.method', 'POST'],
    ['http.route', '/ask'],
  ]);
  return made;
}

/** An OTLP request as an exporter of one process sends it. */
export function exportRequest(service: string, spans: readonly { readonly [key: string]: unknown }[]): unknown {
  const resource = {
    attributes: [attribute('service.name', service), attribute('service.instance.id', `${service}-0`), attribute('host.name', 'node-1')],
  };
  return { resourceSpans: [{ resource, scopeSpans: [{ scope: { name: 'generated' }, spans }] }] };
}

/** Writes a file as the collector's file exporter does: batches of 512 spans of one process, one on a line, requests interleaved. */
export async function writeTraceFile(path: string, spans: number, seed: number): Promise<number> {
  const random = createRandom(seed);
  const out = createWriteStream(path);
  const batches = new Map<string, Made['span'][]>();
  let written = 0;
  let startMs = 1_760_000_000_000;
  const flush = async (service: string, batch: Made['span'][]) => {
    if (!out.write(`${JSON.stringify(exportRequest(service, batch))}\n`)) await once(out, 'drain');
  };
  while (written < spans) {
    startMs += random.exponential(50);
    for (const { service, span } of requestSpans(random, startMs)) {
      const batch = batches.get(service) ?? [];
      batches.set(service, batch);
      batch.push(span);
      written++;
      if (batch.length < 512) continue;
      await flush(service, batch);
      batches.delete(service);
    }
  }
  for (const [service, batch] of batches) await flush(service, batch);
  out.end();
  await once(out, 'finish');
  return written;
}
