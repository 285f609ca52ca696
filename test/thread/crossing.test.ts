import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attr, type SpanRecord } from '../../compiler/contracts/index.ts';
import { type Bench, openBench } from '../placements/deploy.ts';

/** Why the Python agents cannot run here; undefined where they can. */
function missing(): string | undefined {
  const python = process.env.DMAS_OPT_PYTHON;
  if (python === undefined) return 'DMAS_OPT_PYTHON does not name a Python';
  const { status, stderr } = spawnSync(python, ['-c', 'import a2a, langgraph, opentelemetry.sdk, uvicorn'], { encoding: 'utf8' });
  return status === 0 ? undefined : `${python}: ${stderr?.trim().split('\n').at(-1) ?? 'not found'}`;
}
const reason = missing();

/** Names from a span up to the root of its trace; ends in `(missing)` where a parent is not there. */
function ancestry(spans: readonly SpanRecord[], of: SpanRecord): readonly string[] {
  const names: string[] = [];
  for (let at: SpanRecord | undefined = of; at !== undefined; ) {
    names.push(at.name);
    const { parentSpanId }: SpanRecord = at;
    if (parentSpanId === undefined) return names;
    at = spans.find((span) => span.spanId === parentSpanId);
  }
  return [...names, '(missing)'];
}

describe.skipIf(reason !== undefined)(`a request over every kind of hop${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let bench: Bench | undefined;
  beforeAll(async () => {
    bench = await openBench(join(import.meta.dirname, '../fixtures/thread/crossing.yaml'));
  });
  afterAll(() => bench?.close());

  it('is one unbroken trace through a topic, LangGraph.js, Python over HTTP, A2A and MCP', async () => {
    if (bench === undefined) throw new Error('not open');
    await bench.with(bench.project.baseline, async (application) => {
      const answer = await application.ask({ id: 'crossing-1', input: { topic: 'Lisbon' } });
      expect(answer).toMatchObject({ status: 200 });
      expect(JSON.parse(answer.output)).toEqual({
        text: 'Lisbon lies by the sea, and Lisbon was founded long ago Short and clear. Shelf 6.',
      });
      // The Python SDK exports what it traced within five seconds, and not all of it at once.
      let spans: readonly SpanRecord[] = [];
      await expect
        .poll(
          async () => {
            spans = await application.spans();
            const strays = spans.filter((span) => ancestry(spans, span).at(-1) !== 'ingress').map(({ name }) => name);
            return { names: spans.map(({ name }) => name), strays };
          },
          { timeout: 15_000, interval: 250 },
        )
        .toEqual({
          names: expect.arrayContaining(['POST', 'POST /', 'invoke_agent facts', 'serve library', 'invoke_agent archivist']),
          strays: [],
        });
      expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
      const protocolOf = (name: string) => spans.find((span) => span.name === name)?.attributes[attr.rpcSystem];
      expect([protocolOf('call researcher'), protocolOf('call reviewer'), protocolOf('call library')]).toEqual(['http-json', 'a2a', 'mcp']);
      // Through the Python process and back into one of ours.
      const fact = spans.find(({ name }) => name === 'invoke_agent facts');
      expect(fact === undefined ? [] : ancestry(spans, fact)).toEqual([
        'invoke_agent facts',
        'serve facts',
        'POST',
        'POST /',
        'call researcher',
        'invoke_agent clerk',
        'call clerk',
        'ingress',
      ]);
      const archived = spans.find(({ name }) => name === 'invoke_agent archivist');
      expect(archived === undefined ? [] : ancestry(spans, archived)).toEqual([
        'invoke_agent archivist',
        'serve archivist',
        'call archivist',
        'invoke_agent clerk',
        'call clerk',
        'ingress',
      ]);
      expect(spans.filter(({ name }) => name === 'invoke_agent facts')).toHaveLength(2);
    });
  });
});
