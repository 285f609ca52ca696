import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { declared } from '../../../compiler/frontends/declared.ts';
import type { ReadResult } from '../../../compiler/frontends/frontend.ts';
import { readWorkflow } from '../../../compiler/frontends/read-workflow.ts';
import { typescript } from '../../../compiler/frontends/typescript.ts';

async function read(text: string): Promise<ReadResult> {
  const folder = await mkdtemp(join(tmpdir(), 'dmas-declared-'));
  try {
    await writeFile(join(folder, 'workflow.yaml'), text);
    return await readWorkflow({ specifier: './workflow.yaml', folder, frontends: [typescript, declared] });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const sound = `name: research
entry: desk
agents:
  desk:
    description: Answers questions
    input: { type: object, required: [topic] }
    calls: [searcher]
    tools: [search-web]
    streams: true
  searcher:
    speaks: a2a
    options: { binding: rest }
    effect: readOnly
    concurrency: 4
    usesSession: true
toolServers:
  web:
    speaks: mcp
    discovers: true
    tools:
      search-web: { description: Searches, effect: readOnly }
`;

describe('a declared workflow', () => {
  it('is a workflow of components that all run elsewhere, the same each time', async () => {
    const { workflow, problems } = await read(sound);
    expect(problems).toEqual([]);
    expect(workflow).toMatchObject({ schemaVersion: 1, name: 'research', frontend: 'declared', entry: { kind: 'agent', agent: 'desk' } });
    expect(workflow?.agents.map(({ name, kind, mobility }) => [name, kind, mobility])).toEqual([
      ['desk', 'elsewhere', 'replicasOnly'],
      ['searcher', 'elsewhere', 'replicasOnly'],
    ]);
    expect(workflow?.agents[0]).toMatchObject({
      elsewhere: { speaks: 'http-json', options: {} },
      input: { type: 'object', required: ['topic'] },
    });
    expect(workflow?.agents[1]).toMatchObject({
      elsewhere: { speaks: 'a2a', options: { binding: 'rest' } },
      concurrency: 4,
      effect: 'readOnly',
      usesSessionState: true,
    });
    expect(workflow?.toolServers).toMatchObject([{ name: 'web', tools: ['search-web'], discovers: true, elsewhere: { speaks: 'mcp' } }]);
    expect(workflow?.channels.map(({ id, kind, patterns }) => [id, kind, patterns])).toEqual([
      ['desk->searcher', 'agent', ['request']],
      ['desk->web', 'tool', ['request']],
    ]);
    expect(JSON.parse(JSON.stringify(workflow))).toEqual(workflow);
    const again = await read(sound);
    expect({ ...again.workflow, file: '' }).toEqual({ ...workflow, file: '' });
  });

  it('has every problem told where it stands', async () => {
    const at = async (text: string) =>
      (await read(text)).problems.map(({ code, message, at: place }) => `${code} ${place?.line}:${place?.column} ${message}`);
    expect(await at('entry: desk\nagents:\n  desk:\n    call: [x]\n')).toEqual([
      'DMAS_CFG_UNKNOWN_KEY 4:5 agents.desk: unknown key "call"',
    ]);
    expect(await at('entry: desk\nagents:\n  desk: { calls: [sercher] }\n  searcher: {}\n')).toEqual([
      'DMAS_WF_UNKNOWN_AGENT 3:3 "desk" refers to agent "sercher", which has no implementation in the workflow\'s parts',
      'DMAS_WF_UNREACHABLE 4:3 "searcher" can never be reached from the entry',
    ]);
    expect(await at('entry: dsk\nagents: { desk: {} }\n')).toEqual([
      expect.stringContaining('DMAS_WF_UNKNOWN_AGENT 1:1 the entry "dsk" has no implementation'),
    ]);
    expect(await at('agents: { Desk: {} }\nentry: desk\n')).toEqual([expect.stringMatching(/^DMAS_CFG_INVALID_VALUE 1:\d+ /)]);
    expect(await at('agents: { desk: {}\n')).toEqual([expect.stringMatching(/^DMAS_CFG_SYNTAX \d+:\d+ /)]);
    expect(await at('- desk\n')).toEqual(['DMAS_CFG_SYNTAX 1:1 a workflow file is a mapping with at least agents and entry']);
  });
});
