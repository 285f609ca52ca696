import { agent, codeAgent, llmAgent, topic, workflow, z } from 'dmas-opt';

// What is said in the group.
const brief = z.object({ subject: z.string(), rounds: z.int().min(1).max(4) });
const draft = brief.extend({ round: z.int(), text: z.string() });
const review = draft.extend({ verdict: z.enum(['again', 'good']), remark: z.string() });

/** Everybody hears a brief and a review; exactly one writer takes up a turn. */
export const briefs = topic('briefs', brief, 'broadcast');
export const turns = topic('turns', draft, 'anycast');
export const drafts = topic('drafts', draft, 'broadcast');
export const reviews = topic('reviews', review, 'broadcast');
export const published = topic(
  'published',
  z.object({ subject: z.string(), rounds: z.int(), text: z.string(), shown: z.string() }),
  'broadcast',
);

const nothing = z.object({});
export const orchestrator = agent('orchestrator', { input: z.union([review, brief]), output: nothing });
export const writer = agent('writer', { input: draft, output: nothing });
export const reviewer = agent('reviewer', { input: draft, output: nothing });
export const userInterface = agent('user-interface', { input: review, output: nothing });
export const author = agent('author', {
  description: 'Writes one paragraph',
  input: z.object({ subject: z.string(), round: z.int() }),
  output: z.object({ text: z.string() }),
  effect: 'readOnly',
});

/** Hands out turns: the first on a brief, the next on a review that asks for one. */
export const orchestratorAgent = codeAgent(
  orchestrator,
  async (message, ctx) => {
    if (!('verdict' in message)) await ctx.publish(turns, { ...message, round: 1, text: '' });
    else if (message.verdict === 'again')
      await ctx.publish(turns, { subject: message.subject, rounds: message.rounds, round: message.round + 1, text: message.text });
    return {};
  },
  { subscribes: [briefs, reviews], publishes: [turns] },
);

export const authorAgent = llmAgent(author, { model: 'main', system: 'You write one clear paragraph.', maxTokens: 80 });

export const writerAgent = codeAgent(
  writer,
  async ({ subject, rounds, round }, ctx) => {
    const { text } = await ctx.call(author, { subject, round });
    await ctx.publish(drafts, { subject, rounds, round, text });
    return {};
  },
  { subscribes: [turns], publishes: [drafts], calls: [author] },
);

export const reviewerAgent = codeAgent(
  reviewer,
  async (received, ctx) => {
    const verdict = received.round < received.rounds ? 'again' : 'good';
    await ctx.publish(reviews, { ...received, verdict, remark: `${received.text.length} characters in round ${received.round}` });
    return {};
  },
  { subscribes: [drafts], publishes: [reviews] },
);

/** What the user sees; its message ends the request. */
export const userInterfaceAgent = codeAgent(
  userInterface,
  async ({ subject, round, text, verdict, remark }, ctx) => {
    if (verdict === 'good') await ctx.publish(published, { subject, rounds: round, text, shown: remark });
    return {};
  },
  { subscribes: [reviews], publishes: [published] },
);

export default workflow({
  name: 'group-chat',
  entry: { publish: briefs, complete: published },
  parts: [orchestratorAgent, writerAgent, reviewerAgent, userInterfaceAgent, authorAgent],
});
