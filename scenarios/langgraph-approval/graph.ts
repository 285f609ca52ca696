import { Annotation, END, interrupt, MemorySaver, START, StateGraph } from '@langchain/langgraph';
import { chat } from './model.ts';

const State = Annotation.Root({
  request: Annotation<string>,
  amount: Annotation<number>,
  proposal: Annotation<string>,
  decision: Annotation<string>,
  log: Annotation<string[]>({ reducer: (now, more) => [...now, ...more], default: () => [] }),
});

async function propose(state: typeof State.State) {
  const proposal = await chat('You propose how to settle complaints.', `${state.request} It is about ${state.amount} euros.`);
  return { proposal, log: ['proposed'] };
}

/** Small amounts are settled at once; for others somebody has to decide. */
async function approve(state: typeof State.State) {
  if (state.amount < 100) return { decision: 'yes', log: ['small enough'] };
  const decision = interrupt<object, string>({ question: `Pay ${state.amount} euros?`, proposal: state.proposal });
  return { decision, log: [`decided: ${decision}`] };
}

async function settle(state: typeof State.State) {
  return { log: [state.decision === 'yes' ? `paid ${state.amount}` : 'refused'] };
}

export const complaint = new StateGraph(State)
  .addNode('propose', propose)
  .addNode('approve', approve)
  .addNode('settle', settle)
  .addEdge(START, 'propose')
  .addEdge('propose', 'approve')
  .addEdge('approve', 'settle')
  .addEdge('settle', END)
  .compile({ checkpointer: new MemorySaver() });
