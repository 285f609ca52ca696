import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openProject } from '../../cli/project.ts';
import { parseScenario } from '../../scenarios/load.ts';

const root = join(import.meta.dirname, '../..');
const text = (file: string) => readFile(join(root, file), 'utf8');
const blocks = (page: string, language: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, block = '']) => block);

describe('code in the documentation', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dmas-docs-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const project = async (workflow: string, scenario: string) => {
    const at = await mkdtemp(join(folder, 'example-'));
    await writeFile(join(at, 'workflow.ts'), workflow);
    await writeFile(join(at, 'scenario.yaml'), scenario);
    await writeFile(join(at, 'inputs.jsonl'), '{}\n');
    return openProject(join(at, 'scenario.yaml'));
  };

  it('of the README is a workflow and a scenario without a problem', async () => {
    const readme = await text('README.md');
    const [workflow = ''] = blocks(readme, 'ts');
    const [scenario = ''] = blocks(readme, 'yaml');
    const { workflow: read, warnings } = await project(workflow, scenario);
    expect(warnings).toEqual([]);
    expect(read.agents.map((agent) => agent.name).sort()).toEqual(['news', 'weather']);
  });

  it('of docs/workflow.md is a workflow without a problem', async () => {
    const [workflow = ''] = blocks(await text('docs/workflow.md'), 'ts');
    const { workflow: read, warnings } = await project(workflow, 'workflow: ./workflow.ts\nmodels: { main: { backend: simulated } }\n');
    expect(warnings).toEqual([]);
    expect(read.channels.map((channel) => channel.id)).toContain('desk->clerk');
  });

  it('of docs/scenario.md has keys and values the schema accepts', async () => {
    const [scenario = ''] = blocks(await text('docs/scenario.md'), 'yaml');
    expect(parseScenario('/scenario.yaml', scenario, {}).problems).toEqual([]);
  });

  it('explains each example in a README of its own', async () => {
    const examples = (await readdir(join(root, 'scenarios'), { withFileTypes: true })).filter((entry) => entry.isDirectory());
    expect(examples.length).toBeGreaterThanOrEqual(6);
    for (const { name } of examples) {
      const readme = await text(`scenarios/${name}/README.md`);
      for (const part of [`# ${name}`, '## The question', '## Run it', '## What the tool found']) expect(readme).toContain(part);
      const { workflow } = await openProject(join(root, 'scenarios', name, 'scenario.yaml'));
      for (const { name: component } of [...workflow.agents, ...workflow.toolServers]) expect(readme, name).toContain(component);
      // Every file it names is there.
      const present = await readdir(join(root, 'scenarios', name));
      const named = [...(readme.split('Files:')[1]?.split('\n\n')[0] ?? '').matchAll(/`([^`]+)`/g)].map(([, file]) => file);
      expect(named.filter((file) => !present.includes(file ?? ''))).toEqual([]);
    }
  });
});
