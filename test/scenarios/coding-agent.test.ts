import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openProject } from '../../cli/project.ts';
import type { TurnFacts } from '../../profiler/load/session-file.ts';
import { createModelServer } from '../../runtime/llm/server/model-server.ts';
import { promptOf } from '../../scenarios/coding-agent/prompts.ts';

const folder = join(import.meta.dirname, '../../scenarios/coding-agent');
const tokens = fc.integer({ min: 20, max: 20_000 });

describe('the coding agents', () => {
  it('get turns their workflow understands, sub-agents among them, from a fit that holds no text', async () => {
    const { workload, workflow, warnings } = await openProject(join(folder, 'scenario.yaml'));
    expect(warnings).toEqual([]);
    const [load] = workload.classes;
    if (load?.arrivals.process !== 'sessions') throw new Error('the class has no sessions');
    expect(load.arrivals.scripts.length).toBe(24);
    const turns = load.inputs as readonly TurnFacts[];
    // What the entry takes is what the sessions send.
    const input = z.fromJSONSchema(workflow.agents.find((agent) => agent.name === 'orchestrator')?.input as never);
    for (const sent of turns) expect(input.safeParse(sent).error?.issues ?? []).toEqual([]);
    expect(input.safeParse({ session: 1 }).success).toBe(false);
    expect(turns.length).toBe(load.arrivals.scripts.reduce((sum, { thinkMs }) => sum + thinkMs.length, 0));
    const subagents = turns.filter((each) => each.subagents.length > 0).length;
    expect(subagents / turns.length).toBeGreaterThan(0.05);
    expect(Math.max(...turns.map((each) => each.promptTokens))).toBeLessThanOrEqual(16_000);
    expect(Math.max(...turns.map((each) => each.promptTokens))).toBeGreaterThan(5000);
  });

  it('ask with prompts of the asked length that begin as the conversation began', () => {
    const common = (a: string, b: string) => {
      let at = 0;
      while (at < a.length && a[at] === b[at]) at++;
      return at / 4;
    };
    fc.assert(
      fc.property(tokens, tokens, tokens, (a, b, sharedTokens) => {
        const of = (conversation: string, promptTokens: number) => promptOf({ conversation, promptTokens, sharedTokens, outputTokens: 7 });
        expect(Math.abs(of('c', a).length / 4 - a)).toBeLessThan(2);
        const shorter = Math.min(a, b);
        // The facts at the end and a line that is not full differ.
        expect(common(of('c', a), of('c', b))).toBeGreaterThan(shorter - 80);
        expect(common(of('c', a), of('d', a))).toBeLessThan(Math.min(a, sharedTokens) + 80);
        expect(common(of('c', a), of('d', a))).toBeGreaterThan(Math.min(a, sharedTokens) - 80);
      }),
      { numRuns: 40 },
    );
  });

  it('get a reply of the asked length from the simulated model', async () => {
    const { scenario } = await openProject(join(folder, 'scenario.yaml'));
    const { readFile } = await import('node:fs/promises');
    const replies = JSON.parse(await readFile(join(folder, scenario.config.models.main?.replies ?? ''), 'utf8'));
    const { server, close } = createModelServer('main', { replies });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const ask = async (content: string) => {
        const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/chat/completions`, {
          method: 'POST',
          body: JSON.stringify({ model: 'main', messages: [{ role: 'user', content }] }),
        });
        return (await response.json()) as { usage: { completion_tokens: number; prompt_tokens: number } };
      };
      const { usage } = await ask(promptOf({ conversation: 'c', promptTokens: 3000, sharedTokens: 100, outputTokens: 37 }));
      expect(usage.completion_tokens).toBe(37);
      expect(Math.abs(usage.prompt_tokens - 3000)).toBeLessThan(5);
      // Without a number in the request the reply has its own length.
      expect((await ask('no facts here')).usage.completion_tokens).toBeGreaterThan(100);
    } finally {
      await close(1000);
    }
  });
});
