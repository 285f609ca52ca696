import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { componentsOf, fromPartition, grantsOf, hostWord, type Plan, type Workflow } from '../../../compiler/contracts/index.ts';
import { accessOf } from '../../../compiler/plan/access.ts';
import { baselineConfiguration, layoutDefaults } from '../../../compiler/plan/baseline.ts';
import { withEgress } from '../../../compiler/plan/egress.ts';
import { createGrantsCounter } from '../../../compiler/plan/grants.ts';
import { plannedMembers } from '../../../compiler/plan/members.ts';
import { planDeployment } from '../../../compiler/plan/plan-deployment.ts';
import { changesOfAccess, describeAccessChange, printAccess } from '../../../compiler/plan/print-access.ts';
import { createGrantsBound } from '../../../optimizer/predict/grants-bound.ts';
import { membersOf } from '../../../runtime/targets/supervise/members.ts';
import { newsroom, planRequest, readTexts, scenario } from '../support.ts';

let workflow: Workflow;
beforeAll(async () => {
  const read = await newsroom();
  // One of its agents keeps a unit of its own, which has nothing to do with rights.
  workflow = { ...read, agents: read.agents.map((agent) => ({ ...agent, mobility: 'movable' })) };
});

const enforced = { enforces: { vcpu: true, memory: true }, unixSockets: false, egress: 'proxy' } as const;

function tryPlan(given: object, groups?: readonly (readonly string[])[], targetTraits: object = enforced) {
  const configuration =
    groups === undefined
      ? baselineConfiguration(workflow, scenario(given)).configuration
      : fromPartition(workflow, groups, layoutDefaults(workflow, scenario(given)));
  return planDeployment({ ...planRequest(workflow, configuration, given), targetTraits: { ...enforced, ...targetTraits } });
}
function planned(...given: Parameters<typeof tryPlan>): Plan {
  const { plan, problems } = tryPlan(...given);
  if (plan === undefined) throw new Error(JSON.stringify(problems));
  return plan;
}
const theirs = { models: { main: { backend: 'openai-compatible', url: 'https://models.example/v1', secret: 'MODEL_KEY' } } };
const withHosts = {
  ...theirs,
  rights: { hosts: { 'search-archive': ['archive.example:8443'], checker: ['facts.example'] }, networks: ['10.1.0.0/16'] },
};

describe('the way out of a deployment', () => {
  it('is one service with a listener and a list for each member that calls outside', () => {
    const plan = planned(withHosts);
    const egress = plan.services.find(({ kind }) => kind === 'egress');
    const callers = egress?.options.callers as Record<string, string[]>;
    expect(callers.archive).toEqual(['archive.example:8443']);
    expect(callers.checker).toContain('facts.example:443');
    expect(egress?.options.networks).toEqual(['10.1.0.0/16']);
    for (const unit of plan.units) {
      expect(unit.egress).toBe(callers[unit.id] === undefined ? undefined : `service://egress/${unit.id}`);
      const own = accessOf(plan).members.find(({ id }) => id === unit.id);
      expect(own?.hosts.map(hostWord) ?? []).toEqual(callers[unit.id] ?? []);
      expect(own?.reaches.filter(({ to }) => to === 'egress').map(({ address }) => address)).toEqual(
        unit.egress === undefined ? [] : [unit.egress],
      );
    }
    const member = plannedMembers(plan).find(({ id }) => id === 'egress');
    expect(member?.listens.map(({ address }) => address)).toEqual(
      Object.keys(callers)
        .sort()
        .map((id) => `service://egress/${id}`),
    );
  });

  it('is not there where nothing leaves, or where a target has no use for it', () => {
    expect(planned({}).services.map(({ kind }) => kind)).not.toContain('egress');
    const open = planned(withHosts, undefined, { egress: 'none' });
    expect(open.services.map(({ kind }) => kind)).not.toContain('egress');
    // What units may reach is known all the same.
    expect(open.units.find(({ id }) => id === 'archive')?.hosts).toEqual([
      { host: 'archive.example', port: 8443, for: ['search-archive'] },
    ]);
  });

  it('is made anew for a plan that was changed', () => {
    const plan = planned(withHosts);
    expect(withEgress(plan, ['10.1.0.0/16'])).toEqual(plan);
    const without = { ...plan, units: plan.units.map((unit) => ({ ...unit, models: {}, agentModels: {}, hosts: [] })) };
    expect(withEgress(without, []).services.map(({ kind }) => kind)).not.toContain('egress');
    expect(withEgress(without, []).units.some(({ egress }) => egress !== undefined)).toBe(false);
  });

  it('adds no rights of its own', () => {
    expect(grantsOf(accessOf(planned(withHosts)))).toBe(grantsOf(accessOf(planned(withHosts, undefined, { egress: 'none' }))));
  });

  it('is told to programs of others at the listener that is theirs', () => {
    const plan = planned(withHosts);
    const program = {
      command: ['x'],
      folder: '.',
      environment: {},
      portVariable: 'PORT',
      path: '/',
      neighbours: {},
      models: {},
      instrumented: false,
    };
    const foreign = { ...plan, units: plan.units.map((unit) => (unit.id === 'archive' ? { ...unit, program } : unit)) };
    const bundles = [...foreign.units, ...foreign.services].map(({ id }) => ({
      id,
      code: '',
      entry: '',
      sha256: '',
      sizeBytes: 0,
      modules: [],
    }));
    const member = membersOf(foreign, bundles).find(({ id }) => id === 'archive');
    expect(member?.program?.egress).toBe('service://egress/archive');
    const listener = Object.keys((plan.services.find(({ kind }) => kind === 'egress')?.options.callers ?? {}) as object)
      .sort()
      .indexOf('archive');
    expect(member?.program?.reaches['service://egress/archive']).toEqual({ id: 'egress', listener });
  });
});

describe('what may not share a unit', () => {
  it('is never planned, and the reason is told', () => {
    const all = [componentsOf(workflow)];
    const { plan, problems } = tryPlan({ rights: { domains: { counter: 'personal' } } }, all);
    expect(plan).toBeUndefined();
    // The newsroom puts one of its agents into the domain "internet".
    expect(problems.map(({ message }) => message).join('\n')).toMatch(/counter and|and counter/);
    expect(problems[0]?.message).toContain('security domain');
    expect(tryPlan({}, all).plan).toBeDefined();
  });
});

describe('how rights are shown', () => {
  it('unit by unit', () => {
    const text = printAccess(accessOf(planned(withHosts)));
    expect(text).toContain('reaches outside archive.example:8443 (for search-archive) through egress');
    expect(text).toMatch(/holds ARCHIVE_TOKEN/);
    expect(text).not.toMatch(/^ {2}egress$/m);
  });

  it('as what a change of layout adds and takes away', () => {
    const [before, after] = [planned(withHosts), planned({ ...withHosts, baseline: { layout: 'all-in-one' } })];
    const change = changesOfAccess(before, after);
    expect(change.added).toContainEqual({ component: 'counter', kind: 'host', of: 'archive.example:8443' });
    expect(change.added).toContainEqual({ component: 'counter', kind: 'secret', of: 'ARCHIVE_TOKEN' });
    expect(change.added).toContainEqual({ component: 'counter', kind: 'process', of: 'desk' });
    expect(change.removed.every(({ kind }) => kind === 'call')).toBe(true);
    expect(change.grants.after).toBeLessThan(change.grants.before);
    expect(describeAccessChange(change)).toContain(`${change.grants.before} -> ${change.grants.after} grants`);
    const back = changesOfAccess(after, before);
    expect(back.added).toEqual(change.removed);
    expect(back.removed).toEqual(change.added);
    expect(changesOfAccess(before, before)).toMatchObject({ added: [], removed: [] });
  });
});

describe('the number of rights', () => {
  const partition = () =>
    fc.infiniteStream(fc.nat()).map((stream) => {
      const groups: string[][] = [];
      for (const name of componentsOf(workflow)) {
        const index = Number(stream.next().value) % (groups.length + 1);
        groups[index] = [...(groups[index] ?? []), name];
      }
      return groups;
    });

  it('is counted as the plan has it, and never falls below its bound', () => {
    const { configuration: _, ...request } = {
      ...planRequest(workflow, baselineConfiguration(workflow, scenario(withHosts)).configuration, withHosts),
    };
    const count = createGrantsCounter({ ...request, targetTraits: enforced });
    const bound = createGrantsBound(workflow);
    fc.assert(
      fc.property(partition(), fc.nat(20), (groups, shown) => {
        const configuration = fromPartition(workflow, groups, layoutDefaults(workflow, scenario(withHosts)));
        const counted = count(configuration);
        expect(counted).toBe(grantsOf(accessOf(planned(withHosts, groups))));
        // Another number of replicas of the same unit, or the same layout again, is the same number.
        expect(count(configuration)).toBe(counted);
        expect(bound(groups)).toBeLessThanOrEqual(counted ?? 0);
        // What is decided first bounds everything that begins with it.
        const decided = componentsOf(workflow).slice(0, shown);
        const partial = groups.map((group) => group.filter((name) => decided.includes(name))).filter((group) => group.length > 0);
        expect(bound(partial)).toBeLessThanOrEqual(bound(groups));
      }),
      { numRuns: 60 },
    );
  });
});

describe('a workflow that declares a place wrongly', () => {
  it('is told where', async () => {
    const { workflow: read, problems } = await readTexts({
      'workflow.ts': `import { agent, codeAgent, workflow, z } from 'dmas-opt';
export const a = agent('a', { input: z.any(), output: z.any() });
export const aAgent = codeAgent(a, async () => ({}), { hosts: ['*.example.com'] });
export default workflow({ name: 'x', entry: a, parts: [aAgent] });
`,
    });
    expect(read).toBeUndefined();
    expect(problems).toMatchObject([{ code: 'DMAS_WF_BAD_HOST', at: { line: 3 } }]);
  });
});
