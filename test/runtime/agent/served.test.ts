import { afterEach, describe, expect, it } from 'vitest';
import { agent, codeAgent, codeTool, llmAgent, tool, toolServer, z } from '../../../compiler/api/index.ts';
import { servedComponents } from '../../../runtime/agent/served.ts';
import { httpJson } from '../../../runtime/protocols/http-json.ts';
import { defineProtocol, type ServedComponent } from '../../../runtime/protocols/protocol.ts';
import { type Application, type Deployed, deploy, programOf } from './harness.ts';

const Text = z.object({ text: z.string(), tone: z.string().default('plain') });
const helper = agent('helper', { description: 'Helps', input: z.string(), output: z.string(), chunk: z.string() });
const desk = agent('desk', { description: 'Answers', input: Text, output: z.object({ text: z.string() }) });
const chat = agent('chat', { input: Text, output: z.object({ text: z.string() }) });
const look = tool('look', { description: 'Looks it up', input: z.object({ key: z.string() }), output: z.number(), effect: 'readOnly' });
const other = tool('other', { description: 'Elsewhere', input: z.string(), output: z.string(), effect: 'sideEffect' });

const application = (groups: Application['groups']): Application => ({
  entry: desk,
  groups,
  parts: [
    codeAgent(helper, async (input) => input),
    codeAgent(desk, async ({ text }) => ({ text }), { calls: [helper], tools: [look] }),
    llmAgent(chat, { model: 'main', system: 'Talk.' }),
    codeTool(look, async () => 1),
    codeTool(other, async (input) => input),
  ],
  toolServers: [toolServer('desk-tools', [look]), toolServer('far-tools', [other])],
});

let deployed: Deployed | undefined;
afterEach(async () => {
  await deployed?.close();
  deployed = undefined;
});

describe('what a unit introduces', () => {
  it('is its own agents, the entry first, and the tool servers it hosts', () => {
    const program = programOf(
      application([
        ['helper', 'desk', 'desk-tools'],
        ['chat', 'far-tools'],
      ]),
      0,
    );
    expect(servedComponents(program)).toEqual([
      {
        name: 'desk',
        kind: 'agent',
        description: 'Answers',
        input: {
          type: 'object',
          properties: { text: { type: 'string' }, tone: { type: 'string', default: 'plain' } },
          required: ['text'],
        },
        output: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
        streams: false,
        tools: [],
      },
      {
        name: 'helper',
        kind: 'agent',
        description: 'Helps',
        input: { type: 'string' },
        output: { type: 'string' },
        streams: true,
        tools: [],
      },
      {
        name: 'desk-tools',
        kind: 'toolServer',
        description: 'look: Looks it up',
        input: {},
        output: {},
        streams: false,
        tools: [
          {
            name: 'look',
            description: 'Looks it up',
            input: { type: 'object', properties: { key: { type: 'string' } }, required: ['key'] },
            output: { type: 'number' },
            effect: 'readOnly',
          },
        ],
      },
    ]);
    const [first, second] = servedComponents(
      programOf(
        application([
          ['helper', 'desk', 'desk-tools'],
          ['chat', 'far-tools'],
        ]),
        1,
      ),
    );
    expect(first).toMatchObject({ name: 'chat', description: 'chat', streams: true });
    expect(second).toMatchObject({ name: 'far-tools', tools: [{ name: 'other', effect: 'sideEffect' }] });
  });

  it('is handed to every listener', async () => {
    const asked: (() => readonly ServedComponent[])[] = [];
    const protocol = defineProtocol({
      ...httpJson,
      load: async () => {
        const real = await httpJson.load();
        return {
          ...real,
          listen: (at, handler, options, served) => {
            if (served !== undefined) asked.push(served);
            return real.listen(at, handler, options, served);
          },
        };
      },
    });
    deployed = await deploy({
      ...application([
        ['desk', 'helper', 'desk-tools'],
        ['chat', 'far-tools'],
      ]),
      protocol,
    });
    expect(asked.map((served) => served().map(({ name }) => name))).toEqual([
      ['desk', 'helper', 'desk-tools'],
      ['chat', 'far-tools'],
    ]);
  });
});
