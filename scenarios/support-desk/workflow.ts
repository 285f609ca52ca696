import { codeAgent, codeTool, llmAgent, workflow } from 'dmas-opt';
import { counters, desk, finance, hr, staffRecord, support, webSearch } from './contracts.ts';

/** The router: remembers how far each conversation is, counts per department, and passes the question on. */
export const deskAgent = codeAgent(
  desk,
  async ({ text, topic }, ctx) => {
    const turn = (await ctx.session.update('turn', (current) => Number(current ?? 0) + 1)) as number;
    await ctx.blackboard(counters).update(topic, (current) => (current ?? 0) + 1);
    const reply =
      topic === 'finance'
        ? await ctx.call(finance, { text })
        : topic === 'hr'
          ? await ctx.call(hr, { text })
          : await ctx.call(support, { text });
    return { text: reply.text, turn };
  },
  { calls: [finance, hr, support], usesSession: true, blackboards: [counters] },
);

export const financeAgent = llmAgent(finance, {
  model: 'main',
  system: 'You answer questions about invoices and payments.',
  maxTokens: 80,
});

export const hrAgent = llmAgent(hr, {
  model: 'main',
  system: 'You answer questions about staff. Look up the record first. Never repeat personal data that was not asked for.',
  tools: [staffRecord],
  domains: ['personal-data'],
  maxTokens: 80,
});

export const supportAgent = llmAgent(support, {
  model: 'main',
  system: 'You help with the product. Search the web first.',
  tools: [webSearch],
  domains: ['internet'],
  maxTokens: 80,
});

export const staffRecordTool = codeTool(staffRecord, async ({ text }) => ({
  employee: `employee-${text.length}`,
  daysOff: text.length % 30,
}));
export const webSearchTool = codeTool(webSearch, async ({ text }) => ({
  hits: [1, 2, 3].map((n) => `https://help.example/${n}?q=${encodeURIComponent(text)}`),
}));

export default workflow({
  name: 'support-desk',
  entry: desk,
  parts: [deskAgent, financeAgent, hrAgent, supportAgent, staffRecordTool, webSearchTool],
});
