import { codeAgent, llmAgent, workflow } from 'dmas-opt';
import { coder, explorer, orchestrator, reviewer } from './contracts.ts';
import { promptOf } from './prompts.ts';

/** The long conversation of a session: every turn asks with all of it. */
export const coderAgent = llmAgent(coder, { model: 'main', system: 'You write code.', prompt: promptOf });
export const explorerAgent = llmAgent(explorer, { model: 'main', system: 'You explore code.', prompt: promptOf });
export const reviewerAgent = llmAgent(reviewer, { model: 'main', system: 'You review code.', prompt: promptOf });

export const orchestratorAgent = codeAgent(
  orchestrator,
  async ({ promptTokens, outputTokens, sharedTokens, epoch, subagents, turn }, ctx) => {
    // Two live sessions may play the same script; their conversations are not the same.
    const conversation = `${ctx.sessionId}.${epoch}`;
    let text = '';
    for await (const chunk of ctx.stream(coder, { conversation, promptTokens, outputTokens, sharedTokens })) {
      text += chunk.text;
      ctx.emit(chunk);
    }
    // All sub-agents at once; the steps of one are a conversation of its own.
    const reports = await Promise.all(
      subagents.map(async ({ steps }, n) => {
        const own = `${ctx.sessionId}.${turn}.${n}`;
        const helper = n % 2 === 0 ? explorer : reviewer;
        for (const step of steps) await ctx.call(helper, { ...step, conversation: own, sharedTokens: 0 });
        return own;
      }),
    );
    return { text, reports: reports.length };
  },
  { calls: [coder, explorer, reviewer] },
);

export default workflow({
  name: 'coding-agent',
  entry: orchestrator,
  parts: [orchestratorAgent, coderAgent, explorerAgent, reviewerAgent],
});
