import { Annotation, Command, END, type LangGraphRunnableConfig, Send, START, StateGraph } from '@langchain/langgraph';
import { chat } from './model.ts';

const State = Annotation.Root({
  question: Annotation<string>,
  notes: Annotation<{ section: string; text: string }[]>({ reducer: (now, more) => [...now, ...more], default: () => [] }),
  rounds: Annotation<number>({ reducer: (now, more) => now + more, default: () => 0 }),
  answer: Annotation<string>,
});

/** What a worker is sent: its own part of the work, not the whole state. */
interface Assignment {
  readonly section: string;
  readonly question: string;
}

const sections = [
  ['prices', 'costs'],
  ['rules', 'risks', 'deadlines'],
] as const;

/** Hands out the sections of this round to workers at once; when all rounds are done, has the answer written. */
async function supervisor(state: typeof State.State) {
  const round = sections[state.rounds];
  if (round === undefined) return new Command({ goto: 'write' });
  return new Command({
    update: { rounds: 1 },
    goto: round.map((section) => new Send('research', { section, question: state.question } satisfies Assignment)),
  });
}

async function research({ section, question }: Assignment, config: LangGraphRunnableConfig) {
  config.writer?.({ started: section });
  const text = await chat(`You research ${section}.`, question, config.signal);
  return { notes: [{ section, text }] };
}

/** The workers end in any order; the reducer keeps the one in which they were sent out. */
async function collect(state: typeof State.State) {
  const missing = sections.flat().filter((section) => !state.notes.some((note) => note.section === section));
  return new Command({ goto: missing.length === 0 ? 'write' : 'supervisor' });
}

async function write(state: typeof State.State, config: LangGraphRunnableConfig) {
  const notes = state.notes.map(({ section, text }) => `${section}: ${text}`).join('\n');
  return { answer: await chat('You write short answers from notes.', `${state.question}\n${notes}`, config.signal) };
}

export const team = new StateGraph(State)
  .addNode('supervisor', supervisor, { ends: ['research', 'write'] })
  .addNode('research', research, { retryPolicy: { maxAttempts: 2, initialInterval: 50 } })
  .addNode('collect', collect, { ends: ['supervisor', 'write'] })
  .addNode('write', write)
  .addEdge(START, 'supervisor')
  .addEdge('research', 'collect')
  .addEdge('write', END)
  .compile();
