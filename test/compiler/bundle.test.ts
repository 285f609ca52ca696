import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { purify } from '../../compiler/bundle/purify.ts';
import { bundleJob, bundlePlan } from '../../compiler/bundle.ts';
import type { Bundle, DmasError, Plan, Workflow } from '../../compiler/contracts/index.ts';
import { readWorkflow } from '../../compiler/frontends/read-workflow.ts';
import { typescript } from '../../compiler/frontends/typescript.ts';
import { baselineConfiguration } from '../../compiler/plan/baseline.ts';
import { planDeployment } from '../../compiler/plan/plan-deployment.ts';
import { newsroom, newsroomFolder, planRequest, scenario } from './support.ts';

const temporary: string[] = [];
async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'dmas-opt-test-'));
  temporary.push(folder);
  return folder;
}
afterAll(() => Promise.all(temporary.map((folder) => rm(folder, { recursive: true, force: true }))));

function planOf(workflow: Workflow, given: object = {}): Plan {
  const { configuration } = baselineConfiguration(workflow, scenario(given));
  const { plan, problems } = planDeployment(planRequest(workflow, configuration, given));
  if (plan === undefined) throw new Error(JSON.stringify(problems));
  return plan;
}

/** Which marker strings of the fixture each component's own code holds. */
const markers: { readonly [component: string]: readonly string[] } = {
  archive: ['search', 'file'],
  checker: ['checker', 'capitalize'],
  counter: ['counter'],
  desk: ['desk'],
  draft: ['draft', 'graph'],
  editor: ['editor', 'count'],
  facts: ['facts', 'graph'],
  listener: ['listener'],
  merge: ['merge', 'graph'],
  pipeline: ['graph'],
  style: ['style', 'graph'],
};
const markersIn = (code: string) => [...new Set([...code.matchAll(/marker-(\w+)/g)].map((match) => match[1]))].sort();

describe('bundles', () => {
  let workflow: Workflow;
  let bundles: Bundle[];
  beforeAll(async () => {
    workflow = await newsroom();
    bundles = await bundlePlan({ plan: planOf(workflow), workflow });
  });

  it('hold the code of their own agents and of no other', () => {
    const units = bundles.filter((bundle) => markers[bundle.id] !== undefined);
    expect(units).toHaveLength(Object.keys(markers).length);
    for (const { id, code } of units) expect([id, ...markersIn(code)]).toEqual([id, ...[...(markers[id] ?? [])].sort()]);
  });

  it('hold exactly the union where agents share a unit', async () => {
    const layout = [
      ['desk', 'listener'],
      ['draft', 'style', 'archive'],
    ];
    for (const { id, code } of await bundlePlan({ plan: planOf(workflow, { baseline: { layout } }), workflow })) {
      if (!id.includes('+')) continue;
      expect(markersIn(code)).toEqual([...new Set(id.split('+').flatMap((name) => markers[name] ?? []))].sort());
    }
  });

  it('name nothing of the machine', () => {
    for (const { code, entry } of bundles) {
      for (const text of [code, entry]) {
        expect(text).not.toContain(newsroomFolder);
        expect(text).not.toContain(join(import.meta.dirname, '../..'));
        expect(text).not.toContain(`${tmpdir()}/`);
      }
    }
    expect(bundles.find((bundle) => bundle.id === 'checker')?.modules).toEqual(['agents.ts', 'contracts.ts', 'helpers.ts']);
  });

  it('have the same bytes wherever the sources lie', async () => {
    const folder = await temporaryFolder();
    await cp(newsroomFolder, folder, { recursive: true });
    const copy = await readWorkflow({ specifier: './workflow.ts', folder, frontends: [typescript] });
    if (copy.workflow === undefined) throw new Error('the copy could not be read');
    const again = await bundlePlan({ plan: planOf(copy.workflow), workflow: copy.workflow });
    expect(again.map(({ id, sha256 }) => [id, sha256])).toEqual(bundles.map(({ id, sha256 }) => [id, sha256]));
  });

  it('differ between plans only in the values of the plan', async () => {
    const given = { baseline: { layout: [{ components: ['checker'], replicas: 3 }] } };
    const [one, three] = [bundles, await bundlePlan({ plan: planOf(workflow, given), workflow })].map(
      (list) => list.find((bundle) => bundle.id === 'checker')?.code.split('\n') ?? [],
    );
    const changed = three?.filter((line, index) => line !== one?.[index]);
    expect(changed).toEqual(['    replicas: 3,']);
  });

  it('are modules that run by themselves', async () => {
    const folder = await temporaryFolder();
    for (const { id, code } of bundles.filter((bundle) => ['checker', 'state'].includes(bundle.id))) {
      await writeFile(join(folder, `${id}.mjs`), code);
      // Without a binding a process can say only that; anything it needed and did not hold would fail before.
      const failed = await promisify(execFile)(process.execPath, [join(folder, `${id}.mjs`)], { cwd: folder, env: {} }).then(
        () => '',
        (error: { stderr: string }) => error.stderr,
      );
      expect(failed).toContain('DMAS_BINDING');
    }
  });

  it('follow a change of the sources', async () => {
    const folder = await temporaryFolder();
    await cp(newsroomFolder, folder, { recursive: true });
    const copy = await readWorkflow({ specifier: './workflow.ts', folder, frontends: [typescript] });
    if (copy.workflow === undefined) throw new Error('the copy could not be read');
    const plan = planOf(copy.workflow);
    const only = { ...plan, units: plan.units.filter((unit) => unit.id === 'checker'), services: [] };
    const [before] = await bundlePlan({ plan: only, workflow: copy.workflow });
    // Bundled alone here and beside ten others there.
    expect(before?.sha256).toBe(bundles.find((bundle) => bundle.id === 'checker')?.sha256);
    await writeFile(
      join(folder, 'helpers.ts'),
      `export const capitalize = (text: string) => 'marker-new';\nexport const unused = () => '';\n`,
    );
    const [changed] = await bundlePlan({ plan: only, workflow: copy.workflow });
    expect(markersIn(changed?.code ?? '')).toEqual(['checker', 'new']);
  });

  it('say which file cannot be bundled', async () => {
    const folder = await temporaryFolder();
    await cp(newsroomFolder, folder, { recursive: true });
    const copy = await readWorkflow({ specifier: './workflow.ts', folder, frontends: [typescript] });
    if (copy.workflow === undefined) throw new Error('the copy could not be read');
    await rm(join(folder, 'helpers.ts'));
    const failure = bundlePlan({ plan: planOf(copy.workflow), workflow: copy.workflow });
    const error = (await failure.then(
      () => undefined,
      (thrown: unknown) => thrown,
    )) as DmasError;
    expect(error.code).toBe('DMAS_BUNDLE');
    expect(error.problems[0]?.at?.file).toBe(join(folder, 'agents.ts'));
  });

  it('can be made of our own programs', async () => {
    const code = await bundleJob('profiler/load/driver-main');
    expect(code).not.toMatch(/^import .* from ['"]\./m);
    expect(code).not.toContain(join(import.meta.dirname, '../..'));
  });
});

describe('definitions that nobody uses can be dropped', () => {
  const wrapped = async (text: string) => (await purify(text, 'ts', 'x.ts')).match(/@__PURE__/g)?.length ?? 0;
  const api = `import { codeAgent, z } from 'dmas-opt';\n`;

  it('wherever the API makes them, and what is derived from schemas', async () => {
    expect(await wrapped(`${api}export const a = codeAgent(x, async () => ({}));`)).toBe(1);
    expect(await wrapped(`${api}const a = z.object({}), b = 2;\nexport { a };`)).toBe(0);
    expect(await wrapped(`${api}const a = z.object({});\nexport const b = a.extend({});`)).toBe(2);
    expect(await wrapped(`${api}export default codeAgent(x, async () => \`\n});\n\`);`)).toBe(1);
    expect(await wrapped(`import { codeAgent as make } from 'dmas-opt';\nexport const a = make(x, y);`)).toBe(1);
  });

  it('but not text that only looks like a definition', async () => {
    const text = `${api}export const help = () => \`\nconst a = codeAgent(b, c);\n\`;`;
    expect(await wrapped(text)).toBe(0);
    const module: { help(): string } = await import(
      `data:text/javascript,${encodeURIComponent((await purify(text, 'ts', 'x.ts')).replace(/^import.*$/m, ''))}`
    );
    expect(module.help()).toBe('\nconst a = codeAgent(b, c);\n');
  });

  it('but not calls of anything else, nor what waits', async () => {
    expect(await wrapped(`${api}export const a = connect();`)).toBe(0);
    expect(await wrapped(`${api}export const a = codeAgent(await ref, run);`)).toBe(0);
    expect(await wrapped(`const codeAgent = launch;\nexport const a = codeAgent(1);`)).toBe(0);
  });
});
