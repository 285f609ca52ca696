import { AIMessage, HumanMessage, ToolMessage } from '@langchain/core/messages';
import * as lib from '@langchain/langgraph';
import { Annotation, Command, END, MemorySaver, Send, START, StateGraph } from '@langchain/langgraph';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { placeableNodes, segmentPairs } from '../../../compiler/frontends/langgraph/compiled-graph.ts';
import type { CompiledGraph, Kit } from '../../../compiler/frontends/langgraph/fields.ts';
import { packerOf, toJson } from '../../../runtime/agent/langgraph/envelope.ts';
import { errorOf, failureOf } from '../../../runtime/agent/langgraph/messages.ts';
import { sameValue } from '../../../runtime/agent/langgraph/same-value.ts';
import { deployGraph, hopsOf } from '../../contract/langgraph-layouts.ts';

const kit = lib as unknown as Kit;
const empty = new StateGraph(Annotation.Root({ a: Annotation<string> }))
  .addNode('n', () => ({}))
  .addEdge(START, 'n')
  .compile();
const packer = packerOf(empty as unknown as CompiledGraph, kit);
/** Over the wire and back. */
const sent = async (value: unknown) => packer.unpack(JSON.parse(JSON.stringify(await packer.pack(value, 'test'))));

describe('a value of a graph’s state', () => {
  it('comes back as it was: messages, commands, sends, and what JSON does not know', async () => {
    const messages = [
      new HumanMessage({ content: 'hi', id: '1' }),
      new AIMessage({ content: '', tool_calls: [{ id: 'c', name: 'add', args: { a: 1 } }] }),
      new ToolMessage({ content: '2', tool_call_id: 'c', artifact: { big: [1, 2] } }),
    ];
    const back = (await sent({ messages })) as { messages: typeof messages };
    expect(back.messages.map((message) => message.constructor.name)).toEqual(['HumanMessage', 'AIMessage', 'ToolMessage']);
    expect(back.messages.map((message) => message.toDict())).toEqual(messages.map((message) => message.toDict()));
    const command = (await sent(
      new Command({ update: { when: new Date(5) }, goto: [new Send('work', { m: messages[0] }), 'next'], graph: Command.PARENT }),
    )) as Command;
    expect(command).toBeInstanceOf(Command);
    expect(command).toMatchObject({ graph: Command.PARENT, update: { when: new Date(5) } });
    const [send, next] = command.goto as [Send, string];
    expect([send, next]).toEqual([expect.any(Send), 'next']);
    expect((send.args as { m: HumanMessage }).m).toBeInstanceOf(HumanMessage);
  });

  it('comes back as it was, whatever it is made of', async () => {
    const leaf = fc.oneof(
      fc.jsonValue(),
      fc.constant(undefined),
      fc.bigInt(),
      fc.double(),
      fc.date({ noInvalidDate: true }),
      fc.uint8Array({ maxLength: 5 }),
    );
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        leaf,
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(
          fc.stringMatching(/^[a-z]{1,4}$/).filter((key) => key !== 'lc'),
          tie('value'),
          { maxKeys: 4, noNullPrototype: true },
        ),
        fc.array(fc.tuple(fc.string(), tie('value')), { maxLength: 3 }).map((entries) => new Map(entries)),
      ),
    }));
    await fc.assert(
      fc.asyncProperty(value, async (given) => {
        const back = await sent(given);
        if (sameValue(given, back)) return;
        // JSON has one zero; all else is the same.
        expect(JSON.stringify(toJson(back))).toBe(JSON.stringify(toJson(given)));
      }),
      { numRuns: 300 },
    );
  });

  it('is refused with its place where a part would be lost', async () => {
    await expect(packer.pack({ a: [{ run: () => 1 }] }, 'input of node x')).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('the input of node x holds a function at a.0.run'),
    });
    const circle: unknown[] = [];
    circle.push(circle);
    await expect(packer.pack(circle, 'input')).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining('in a circle') });
  });

  it('keeps of an error what a retry policy looks at', () => {
    const given = Object.assign(new RangeError('no'), { status: 429, code: 'busy', inner: {} });
    expect(errorOf(failureOf(given))).toMatchObject({ name: 'RangeError', message: 'no', status: 429, code: 'busy' });
    expect(failureOf('text')).toEqual({ name: 'Error', message: 'text', members: {} });
  });
});

describe('the nodes of a graph', () => {
  const add = (name: string) => () => ({ log: [name] });
  const State = Annotation.Root({ log: Annotation<string[]>({ reducer: (now, more) => [...now, ...more], default: () => [] }) });

  it('have names of components, those of sub-graphs too', () => {
    const inner = new StateGraph(State)
      .addNode('ask_twice', add('x'))
      .addNode('end', add('y'))
      .addEdge(START, 'ask_twice')
      .addEdge('ask_twice', 'end')
      .compile();
    const outer = new StateGraph(State)
      .addNode('Team', inner)
      .addNode('state', add('z'))
      .addEdge(START, 'Team')
      .addEdge('Team', 'state')
      .compile();
    expect(placeableNodes(outer as unknown as CompiledGraph).map(({ component, path }) => [component, path.join('/')])).toEqual([
      ['team-ask-twice', 'Team/ask_twice'],
      ['team-end', 'Team/end'],
      ['node-state', 'state'],
    ]);
  });

  it('may run together only where nothing has to happen between them', () => {
    const graph = new StateGraph(State)
      .addNode('a', add('a'))
      .addNode('b', add('b'))
      .addNode('c', add('c'))
      .addNode('d', add('d'), { defer: true })
      .addNode('e', add('e'), { timeout: 100 })
      .addNode('f', add('f'), { cachePolicy: true })
      .addEdge(START, 'a')
      .addEdge('a', 'b')
      .addConditionalEdges('b', () => 'c', ['c', 'e', END])
      .addEdge('c', 'd')
      .addEdge(['d', 'e'], 'f')
      .compile({ checkpointer: new MemorySaver(), interruptAfter: ['a'] });
    expect(segmentPairs(graph as unknown as CompiledGraph)).toEqual([['b', 'c']]);
  });
});

/** A random graph over numbered nodes: plain edges, forks, branches that depend on the state, and one loop bounded by it. */
interface Shape {
  readonly next: readonly { readonly kind: 'edge' | 'branch' | 'fork' | 'command'; readonly to: readonly number[] }[];
  readonly unit: readonly number[];
}

const shapes: fc.Arbitrary<Shape> = fc.integer({ min: 2, max: 5 }).chain((size) =>
  fc.record({
    next: fc.array(
      fc.record({
        kind: fc.constantFrom('edge', 'branch', 'fork', 'command' as const),
        to: fc.array(fc.nat(size - 1), { minLength: 1, maxLength: 2 }),
      }),
      { minLength: size, maxLength: size },
    ),
    unit: fc.array(fc.nat(2), { minLength: size, maxLength: size }),
  }),
);

function graphOf({ next }: Shape) {
  const State = Annotation.Root({
    log: Annotation<string[]>({ reducer: (now, more) => [...now, ...more], default: () => [] }),
    steps: Annotation<number>({ reducer: (now, more) => now + more, default: () => 0 }),
    last: Annotation<{ by: string }[]>({ reducer: (now, more) => [...now.slice(-2), ...more], default: () => [] }),
  });
  type S = typeof State.State;
  const id = (n: number) => `n${n}`;
  const over = (state: S) => state.steps >= 9;
  let graph = new StateGraph(State) as unknown as {
    addNode: (...args: unknown[]) => typeof graph;
    addConditionalEdges: (...args: unknown[]) => typeof graph;
    addEdge: (...args: unknown[]) => typeof graph;
    compile: () => unknown;
  };
  next.forEach(({ kind, to }, n) => {
    const update = (state: S) => ({ log: [`${id(n)}@${state.steps}/${state.last.length}`], steps: 1, last: [{ by: id(n) }] });
    const targets = to.map(id);
    const pick = (state: S) => (over(state) ? END : (targets[state.steps % targets.length] ?? END));
    if (kind === 'command') {
      graph = graph.addNode(id(n), (state: S) => new Command({ update: update(state), goto: pick({ ...state, steps: state.steps + 1 }) }), {
        ends: [...targets, END],
      });
      return;
    }
    graph = graph.addNode(id(n), update);
    if (kind === 'fork') graph = graph.addConditionalEdges(id(n), (state: S) => (over(state) ? END : targets), [...targets, END]);
    else graph = graph.addConditionalEdges(id(n), pick, [...new Set(targets), END]);
  });
  // Every node is reachable, so that LangGraph takes the graph.
  graph = graph.addConditionalEdges(
    START,
    () => id(0),
    next.map((_, n) => id(n)),
  );
  return graph.compile() as { invoke(input: object): Promise<unknown> };
}

describe('segments', () => {
  it('end in the state that node by node ends in, with no more round trips', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const wanted = await graphOf(shape).invoke({});
        const groups = (nodes: readonly string[]) =>
          [0, 1, 2].map((unit) => nodes.filter((node) => shape.unit[Number(node.slice(1))] === unit));
        const apart = await deployGraph({ make: () => graphOf(shape), kit: lib, layout: 'a unit per node' });
        const grouped = await deployGraph({
          make: () => graphOf(shape),
          kit: lib,
          layout: (nodes) => groups(nodes).filter((group, index) => index === 0 || group.length > 0),
        });
        try {
          expect((await apart.ask({})).body).toEqual(wanted);
          expect((await grouped.ask({})).body).toEqual(wanted);
          expect(hopsOf(grouped).length).toBeLessThanOrEqual(hopsOf(apart).length);
        } finally {
          await Promise.all([apart.close(), grouped.close()]);
        }
      }),
      { numRuns: process.env.DMAS_OPT_FULL === '1' ? 100 : 8 },
    );
  }, 120_000);
});
