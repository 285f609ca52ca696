import { afterEach, describe, expect, it } from 'vitest';
import { agent, codeAgent, codeTool, tool, toolServer, z } from '../../../compiler/api/index.ts';
import { type Deployed, deploy } from './harness.ts';

const clerk = agent('clerk', { input: z.object({ to: z.string() }), output: z.object({ receipt: z.string(), amount: z.int() }) });
const pay = tool('pay', {
  description: 'Pays a bill',
  input: z.object({ to: z.string() }),
  output: z.object({ receipt: z.string(), amount: z.int().min(5) }),
  effect: 'sideEffect',
});
const look = tool('look', {
  description: 'Looks up',
  input: z.object({ to: z.string() }),
  output: z.object({ known: z.boolean() }),
  effect: 'readOnly',
});

let deployed: Deployed | undefined;
afterEach(async () => {
  await deployed?.close();
  deployed = undefined;
});

describe.each([
  ['in one unit', [['clerk', 'bank']]],
  ['in two units', [['clerk'], ['bank']]],
] as const)('a tool that must not run, %s', (_, groups) => {
  async function payTwice(stubbedTools: readonly string[]) {
    const paid: string[] = [];
    const looked: string[] = [];
    const parts = [
      codeAgent(
        clerk,
        async ({ to }, ctx) => {
          await ctx.tool(look, { to });
          return ctx.tool(pay, { to });
        },
        { tools: [pay, look] },
      ),
      codeTool(pay, async ({ to }) => {
        paid.push(to);
        return { receipt: `real-${to}`, amount: 7 };
      }),
      codeTool(look, async ({ to }) => {
        looked.push(to);
        return { known: true };
      }),
    ];
    deployed = await deploy({ entry: clerk, groups, parts, toolServers: [toolServer('bank', [pay, look])], stubbedTools });
    const answers = [await deployed.ask({ to: 'Ann' }), await deployed.ask({ to: 'Ann' })];
    return { paid, looked, answers };
  }

  it('is answered by a value of its output schema, the same each time, and never reached', async () => {
    const { paid, looked, answers } = await payTwice(['pay']);
    expect(paid).toEqual([]);
    expect(looked).toEqual(['Ann', 'Ann']);
    expect(answers[0]).toMatchObject({ status: 200, body: { receipt: expect.any(String), amount: expect.any(Number) } });
    expect(answers[1]?.body).toEqual(answers[0]?.body);
    expect(JSON.stringify(answers[0]?.body)).not.toContain('real-');
  });

  it('runs when nothing is stubbed', async () => {
    const { paid } = await payTwice([]);
    expect(paid).toEqual(['Ann', 'Ann']);
  });
});
