import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { frontends as registered } from '../../cli/registry.ts';
import { componentsOf, entryComponent, pluginKinds } from '../../compiler/contracts/index.ts';
import { textSource } from '../../compiler/frontends/declared/read.ts';
import type { FrontendDescriptor } from '../../compiler/frontends/frontend.ts';
import { readWorkflow } from '../../compiler/frontends/read-workflow.ts';
import { loadSource } from '../../compiler/frontends/source/load.ts';

const root = join(import.meta.dirname, '../..');
const frontends: readonly FrontendDescriptor[] = registered;
/** A sound workflow for each frontend. A frontend without one fails here. */
const fixtures: { readonly [id: string]: string } = {
  typescript: 'workflows/newsroom/workflow.ts',
  langgraph: 'workflows/langgraph/workflow.ts',
  'openai-agents': 'workflows/openai-agents/workflow.ts',
  declared: 'elsewhere/workflow.yaml',
};
const fileOf = (id: string) => join(root, 'test/fixtures', fixtures[id] ?? 'missing');
/** A file as the loop loads it: text is not run. */
const sourceOf = async (file: string) =>
  file.endsWith('.yaml') ? textSource(file, dirname(file), readFileSync(file, 'utf8')) : (await loadSource(file)).source;

describe.each(frontends.map((descriptor) => [descriptor.id, descriptor] as const))('frontend %s', (id, descriptor) => {
  const file = fileOf(id);
  const read = () => readWorkflow({ specifier: `./${basename(file)}`, folder: dirname(file), frontends, boundModels: ['main'] });
  const workflowOf = async () => {
    const { workflow, problems } = await read();
    if (workflow === undefined) throw new Error(JSON.stringify(problems));
    return workflow;
  };

  it('is found under its id, and its options all have defaults', () => {
    expect(existsSync(join(root, pluginKinds.frontend, `${id}.ts`))).toBe(true);
    expect(descriptor.kind).toBe('frontend');
    expect(() => descriptor.options.parse({})).not.toThrow();
  });

  it('detects its own workflows and nothing else', async () => {
    const frontend = await descriptor.load();
    for (const value of [undefined, null, 1, 'x', {}, [], () => {}, { default: {} }]) expect(frontend.detect(value)).toBe(false);
    for (const other of Object.keys(fixtures)) {
      const source = await sourceOf(fileOf(other));
      const values = Object.values(source?.modules[0]?.exports ?? {});
      expect(values.some((value) => frontend.detect(value))).toBe(other === id);
    }
  });

  it('reads plain data, the same each time', async () => {
    const workflow = await workflowOf();
    expect(JSON.parse(JSON.stringify(workflow))).toEqual(workflow);
    expect(JSON.stringify(await workflowOf())).toBe(JSON.stringify(workflow));
    expect(workflow).toMatchObject({ schemaVersion: 1, frontend: id, file });
  });

  it('gives channels whose ends exist, and an entry from which all is reached', async () => {
    const workflow = await workflowOf();
    const components = componentsOf(workflow);
    expect(new Set(components).size).toBe(components.length);
    expect(components).toContain(entryComponent(workflow));
    for (const channel of workflow.channels) {
      for (const end of channel.from) expect(components).toContain(end);
      for (const end of channel.to) expect(channel.kind === 'model' ? workflow.models : components).toContain(end);
      expect(channel.patterns.length).toBeGreaterThan(0);
    }
  });

  it('says of every part where a bundle can import it', async () => {
    const workflow = await workflowOf();
    const source = await sourceOf(workflow.file);
    // What runs elsewhere has no code to import: its place in the file is said all the same.
    const own = (part: object) => !('elsewhere' in part && part.elsewhere !== undefined);
    const all = [...workflow.agents, ...workflow.toolServers, ...workflow.tools, ...workflow.topics];
    for (const { source: ref } of all) expect(existsSync(join(dirname(workflow.file), ref?.module ?? 'missing'))).toBe(true);
    const parts = all.filter(own);
    for (const { name, source: ref } of parts) {
      const module = source?.modules.find((candidate) => candidate.module === ref?.module);
      expect(module?.exports[ref?.exportName ?? ''], name).toBeDefined();
      expect(existsSync(join(dirname(workflow.file), ref?.module ?? ''))).toBe(true);
    }
  });
});
