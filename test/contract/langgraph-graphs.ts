import type * as Core from '@langchain/core/messages';
import type * as Testing from '@langchain/core/utils/testing';
import type * as Lib from '@langchain/langgraph';

/** One installed version, and what it brings. */
export interface Version {
  readonly lib: typeof Lib;
  readonly messages: typeof Core;
  readonly testing: typeof Testing;
}

/** A model asks for tools until it has what it needs: the public documentation's first agent. Messages without ids among them. */
export function toolLoop({ lib, messages }: Version) {
  const { MessagesAnnotation, StateGraph, START, END } = lib;
  const { AIMessage, ToolMessage } = messages;
  type State = typeof MessagesAnnotation.State;
  const agent = async (state: State) => {
    const results = state.messages.filter((message) => message.getType() === 'tool').length;
    if (results >= 2) return { messages: [new AIMessage(`after ${results} results of ${state.messages.length}`)] };
    return {
      messages: [new AIMessage({ content: '', tool_calls: [{ id: `call-${results}`, name: 'add', args: { a: results, b: 1 } }] })],
    };
  };
  const tools = async (state: State) => {
    const last = state.messages.at(-1) as InstanceType<typeof AIMessage>;
    return {
      messages: (last.tool_calls ?? []).map(
        ({ id = '', args }) => new ToolMessage({ tool_call_id: id, content: String(Number(args.a) + Number(args.b)) }),
      ),
    };
  };
  const more = (state: State) => ((state.messages.at(-1) as InstanceType<typeof AIMessage>).tool_calls?.length ? 'tools' : END);
  return new StateGraph(MessagesAnnotation)
    .addNode('agent', agent)
    .addNode('tools', tools)
    .addEdge(START, 'agent')
    .addConditionalEdges('agent', more, ['tools', END])
    .addEdge('tools', 'agent')
    .compile();
}

const textState = ({ Annotation }: typeof Lib) =>
  Annotation.Root({
    topic: Annotation<string>,
    log: Annotation<string[]>({ reducer: (now, more) => [...now, ...more], default: () => [] }),
  });

/** Commands and sends: a planner sends parts to workers at once, and a judge goes back or on, declared nowhere. */
export function commands({ lib }: Version) {
  const { Annotation, Command, Send, StateGraph, START, END } = lib;
  const State = Annotation.Root({
    ...textState(lib).spec,
    rounds: Annotation<number>({ reducer: (now, more) => now + more, default: () => 0 }),
  });
  return new StateGraph(State)
    .addNode(
      'plan',
      () => new Command({ update: { log: ['plan'], rounds: 1 }, goto: ['a', 'b', 'c'].map((part) => new Send('work', { part })) }),
      {
        ends: ['work'],
      },
    )
    .addNode('work', (raw: { part?: string }) => ({ log: [`work ${JSON.stringify(raw)}`] }))
    .addNode(
      'judge',
      (state: typeof State.State) => [
        { log: ['judged'] },
        new Command({ goto: state.rounds < 2 ? 'plan' : END, update: { log: [`round ${state.rounds}`] } }),
      ],
      { ends: ['plan', END] },
    )
    .addEdge(START, 'plan')
    .addEdge('work', 'judge')
    .compile();
}

/** A fork, a join over a longer and a shorter branch, and a deferred node. */
export function joins({ lib }: Version) {
  const { StateGraph, START, END } = lib;
  const State = textState(lib);
  const say = (name: string) => async () => ({ log: [name] });
  return new StateGraph(State)
    .addNode('split', say('split'))
    .addNode('short', say('short'))
    .addNode('long', say('long'))
    .addNode('longer', say('longer'))
    .addNode('both', say('both'))
    .addNode('last', say('last'), { defer: true })
    .addEdge(START, 'split')
    .addEdge('split', 'short')
    .addEdge('split', 'long')
    .addEdge('long', 'longer')
    .addEdge(['short', 'longer'], 'both')
    .addEdge('short', 'last')
    .addEdge('both', 'last')
    .addEdge('last', END)
    .compile();
}

/** A sub-graph whose node leaves for a node of the graph above. */
export function subgraphs({ lib }: Version) {
  const { Command, StateGraph, START, END } = lib;
  const State = textState(lib);
  const inner = new StateGraph(State)
    .addNode('research', () => ({ log: ['research'] }))
    .addNode('decide', () => new Command({ graph: Command.PARENT, goto: 'close', update: { log: ['left the sub-graph'] } }), { ends: [] })
    .addNode('never', () => ({ log: ['never'] }))
    .addEdge(START, 'research')
    .addEdge('research', 'decide')
    .addEdge('decide', 'never')
    .compile();
  return new StateGraph(State)
    .addNode('open', () => ({ log: ['open'] }))
    .addNode('team', inner, { ends: ['close'] })
    .addNode('close', () => ({ log: ['close'] }))
    .addEdge(START, 'open')
    .addEdge('open', 'team')
    .addEdge('close', END)
    .compile();
}

/** Asks twice in one node, after a node that asks nothing, and remembers the conversation. */
export function approval({ lib }: Version) {
  const { interrupt, MemorySaver, StateGraph, START, END } = lib;
  const State = textState(lib);
  return new StateGraph(State)
    .addNode('draft', (state: typeof State.State) => ({ log: [`draft ${state.topic}`] }))
    .addNode('review', (state: typeof State.State) => {
      const first = interrupt({ question: 'publish?', seen: state.log.length });
      const second = interrupt({ question: 'really?', first });
      return { log: [`${first}/${second}`] };
    })
    .addNode('publish', () => ({ log: ['published'] }))
    .addEdge(START, 'draft')
    .addEdge('draft', 'review')
    .addEdge('review', 'publish')
    .addEdge('publish', END)
    .compile({ checkpointer: new MemorySaver() });
}

/** Two nodes ask at once. */
export function twoAsk({ lib }: Version) {
  const { interrupt, MemorySaver, StateGraph, START } = lib;
  const State = textState(lib);
  return new StateGraph(State)
    .addNode('legal', () => ({ log: [`legal ${interrupt('legal?')}`] }))
    .addNode('money', () => ({ log: [`money ${interrupt('money?')}`] }))
    .addEdge(START, 'legal')
    .addEdge(START, 'money')
    .compile({ checkpointer: new MemorySaver() });
}

/** Stops before a node, as `compile` was told. */
export function breakpoint({ lib }: Version) {
  const { MemorySaver, StateGraph, START } = lib;
  const State = textState(lib);
  return new StateGraph(State)
    .addNode('look', () => ({ log: ['look'] }))
    .addNode('leap', () => ({ log: ['leap'] }))
    .addEdge(START, 'look')
    .addEdge('look', 'leap')
    .compile({ checkpointer: new MemorySaver(), interruptBefore: ['leap'] });
}

/** Fails as often as told; what it throws has a class, a code and a status. Counts over all instances, keyed by the topic. */
export function retries({ lib }: Version, tries: Map<string, number>) {
  const { StateGraph, START } = lib;
  const State = textState(lib);
  class QuotaError extends Error {
    override name = 'QuotaError';
    status = 429;
  }
  const flaky = (state: typeof State.State) => {
    const n = (tries.get(state.topic) ?? 0) + 1;
    tries.set(state.topic, n);
    if (state.topic.startsWith('fatal')) throw new TypeError('cannot be');
    if (n < 3) throw new QuotaError('too many');
    return { log: [`try ${n}`] };
  };
  const retryOn = (error: Error & { status?: number }) => error.name === 'QuotaError' && error.status === 429;
  return new StateGraph(State)
    .addNode('first', () => ({ log: ['first'] }))
    .addNode('flaky', flaky, { retryPolicy: { maxAttempts: 3, initialInterval: 5, jitter: false, logWarning: false, retryOn } })
    .addEdge(START, 'first')
    .addEdge('first', 'flaky')
    .compile();
}

/** A node fails, and its error handler goes on elsewhere. */
export function handled({ lib }: Version) {
  const { Command, StateGraph, START } = lib;
  const State = textState(lib);
  return new StateGraph(State)
    .addNode(
      'risky',
      () => {
        throw new RangeError('out of luck');
      },
      {
        errorHandler: (_state, { node, error }) =>
          new Command({ goto: 'rescue', update: { log: [`${node}: ${error.name} ${error.message}`] } }),
      },
    )
    .addNode('rescue', () => ({ log: ['rescued'] }))
    .addEdge(START, 'risky')
    .compile();
}

/** Tokens of a chat model, custom chunks, and an update. */
export function streaming({ lib, messages, testing }: Version) {
  const { MessagesAnnotation, StateGraph, START } = lib;
  const model = new testing.FakeStreamingChatModel({
    chunks: ['Hel', 'lo ', 'you'].map((content) => new messages.AIMessageChunk({ content, id: 'said' })),
  });
  return new StateGraph(MessagesAnnotation)
    .addNode('prepare', (_state, config) => {
      config.writer?.({ progress: 0.5 });
      return {};
    })
    .addNode('speak', async (state, config) => {
      const reply = await model.invoke(state.messages, config);
      config.writer?.({ progress: 1 });
      return { messages: [reply] };
    })
    .addEdge(START, 'prepare')
    .addEdge('prepare', 'speak')
    .compile();
}

/** State that is not JSON, and a reducer over it. */
export function values({ lib }: Version) {
  const { Annotation, StateGraph, START } = lib;
  const State = Annotation.Root({
    when: Annotation<Date>,
    seen: Annotation<Map<string, number>>({ reducer: (now, more) => new Map([...now, ...more]), default: () => new Map() }),
    maybe: Annotation<unknown>,
    kinds: Annotation<string[]>({ reducer: (now, more) => [...now, ...more], default: () => [] }),
  });
  return new StateGraph(State)
    .addNode('make', () => ({
      when: new Date(86_400_000),
      seen: new Map([['a', 1]]),
      maybe: { big: 12n, none: undefined, odd: Number.NaN, bytes: new Uint8Array([1, 2]) },
    }))
    .addNode('look', ({ when, seen, maybe }) => {
      const { big, none, odd, bytes } = maybe as { big: bigint; none: undefined; odd: number; bytes: Uint8Array };
      return {
        seen: new Map([['b', seen.get('a') ?? 0]]),
        kinds: [
          String(when instanceof Date && when.getTime()),
          String(seen instanceof Map && seen.size),
          `${typeof big} ${big}`,
          typeof none,
          String(odd),
          String(bytes instanceof Uint8Array && bytes[1]),
        ],
      };
    })
    .addEdge(START, 'make')
    .addEdge('make', 'look')
    .compile();
}

/** Uses a store kept in memory, the configuration, the context and the thread. */
export function surroundings({ lib }: Version) {
  const { InMemoryStore, MemorySaver, StateGraph, START } = lib;
  const State = textState(lib);
  return new StateGraph(State)
    .addNode('write', async (state, config) => {
      await config.store?.put(['notes'], 'topic', { text: state.topic, user: config.configurable?.user });
      return { log: [`thread ${config.configurable?.thread_id}`] };
    })
    .addNode('read', async (_state, config) => {
      const item = await config.store?.get(['notes'], 'topic');
      const found = await config.store?.search(['notes']);
      return {
        log: [`${JSON.stringify(item?.value)} ${item?.createdAt instanceof Date} ${found?.length} ${JSON.stringify(config.context)}`],
      };
    })
    .addEdge(START, 'write')
    .addEdge('write', 'read')
    .compile({ store: new InMemoryStore(), checkpointer: new MemorySaver() });
}

/** Waits until it is told to stop, and says that it was. */
export function patient({ lib }: Version, stopped: string[]) {
  const { StateGraph, START } = lib;
  const State = textState(lib);
  return new StateGraph(State)
    .addNode('wait', async (state, config) => {
      await new Promise<void>((resolve) => config.signal?.addEventListener('abort', () => resolve(), { once: true }));
      stopped.push(state.topic);
      return {};
    })
    .addNode('fail', async (state) => {
      if (state.topic !== 'sibling') return {};
      throw new Error('the other branch failed');
    })
    .addEdge(START, 'wait')
    .addEdge(START, 'fail')
    .compile();
}

/** A chain with a branch that only a run decides, through nodes that count how often they ran. */
export function chain({ lib }: Version, ran: string[]) {
  const { Annotation, StateGraph, START, END } = lib;
  const State = Annotation.Root({
    log: Annotation<string[]>({ reducer: (now, more) => [...now, ...more], default: () => [] }),
    count: Annotation<number>({ reducer: (now, more) => now + more, default: () => 0 }),
  });
  const step = (name: string) => async (state: typeof State.State) => {
    ran.push(name);
    return { log: [`${name} ${state.count}`], count: 1 };
  };
  return new StateGraph(State)
    .addNode('one', step('one'))
    .addNode('two', step('two'))
    .addNode('three', step('three'))
    .addEdge(START, 'one')
    .addEdge('one', 'two')
    .addConditionalEdges('two', (state) => (state.count < 5 ? 'one' : 'three'))
    .addEdge('three', END)
    .compile();
}
