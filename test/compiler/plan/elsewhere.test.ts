import { describe, expect, it } from 'vitest';
import { allInOne, onePerComponent, type Plan, type Problem, type Workflow } from '../../../compiler/contracts/index.ts';
import { declared } from '../../../compiler/frontends/declared.ts';
import { readWorkflow } from '../../../compiler/frontends/read-workflow.ts';
import { typescript } from '../../../compiler/frontends/typescript.ts';
import { bindElsewhere } from '../../../compiler/plan/bind-elsewhere.ts';
import { planDeployment } from '../../../compiler/plan/plan-deployment.ts';
import { printPlan } from '../../../compiler/plan/print.ts';
import { buildSpace } from '../../../optimizer/space/build.ts';
import { satisfies } from '../../../optimizer/space/satisfies.ts';
import { planRequest, protocolTraits, scenario } from '../support.ts';

const folder = new URL('../../fixtures/elsewhere', import.meta.url).pathname;

async function read(specifier = './workflow.ts'): Promise<Workflow> {
  const { workflow, problems } = await readWorkflow({ specifier, folder, frontends: [typescript, declared] });
  if (workflow === undefined) throw new Error(JSON.stringify(problems));
  return workflow;
}

const researcher = { command: ['python3', 'research.py'], neighbours: { ARCHIVE_URL: 'archive' } };
const rater = { external: { url: 'http://rater.example/rate', maxRate: 10, maxConcurrency: 3 } };
const traits = {
  'http-json': { ...protocolTraits['http-json'], strangerUrl: 'http://{at}/{component}' },
  a2a: { ...protocolTraits['http-json'], strangerUrl: 'http://{at}/{component}' },
  grpc: protocolTraits.grpc,
};

async function plan(agents: object, given: { replicas?: Record<string, number>; target?: 'command' | 'image'; specifier?: string } = {}) {
  const config = scenario({ agents, models: { main: { backend: 'simulated' } } });
  const { workflow, problems } = bindElsewhere(await read(given.specifier), config.agents, (path) => ({
    file: 'scenario.yaml',
    line: path.length,
  }));
  const defaults = { protocol: { protocol: 'grpc', options: {} }, resources: { vcpu: 1, memoryMb: 256 }, serving: {} };
  const layout = onePerComponent(workflow, defaults);
  const configuration = { ...layout, units: layout.units.map((unit) => ({ ...unit, replicas: given.replicas?.[unit.id] ?? 1 })) };
  const request = {
    ...planRequest(workflow, configuration, { agents, models: { main: { backend: 'simulated' } } }),
    protocolTraits: traits as never,
    targetTraits: { enforces: { vcpu: false, memory: false }, unixSockets: true, programs: given.target ?? ('command' as const) },
  };
  return { workflow, config, defaults, request, bound: problems, ...planDeployment(request) };
}
const unit = (of: Plan | undefined, id: string) => of?.units.find((candidate) => candidate.id === id);
const messages = (problems: readonly Problem[]) => problems.map(({ message }) => message);

describe('planning of components that run elsewhere', () => {
  it('gives a command a unit of its own, told where its neighbours are by logical addresses', async () => {
    const { plan: made, problems } = await plan({ researcher: { ...researcher, env: { MODE: 'fast' }, ready: { path: '/up' } }, rater });
    expect(problems).toEqual([]);
    expect(made?.units.map(({ id }) => id)).toEqual(['archive', 'desk', 'researcher']);
    expect(unit(made, 'researcher')?.program).toEqual({
      command: ['python3', 'research.py'],
      folder: '.',
      environment: { MODE: 'fast' },
      portVariable: 'PORT',
      path: '/',
      neighbours: { ARCHIVE_URL: { component: 'archive', address: 'unit://archive/http-json', url: 'http://{at}/archive' } },
      models: {},
      ready: { path: '/up' },
      instrumented: true,
    });
    expect(unit(made, 'researcher')?.listens.map(({ address }) => address)).toEqual(['unit://researcher/http-json']);
    expect(unit(made, 'archive')?.listens.map(({ protocol }) => protocol)).toEqual(['http-json']);
    expect(unit(made, 'desk')?.program).toBeUndefined();
  });

  it('lets an image listen on a port of its own, and tells a command where to listen all the same', async () => {
    const both = { ...researcher, image: 'acme/research', port: 8080 };
    const image = await plan({ researcher: both, rater }, { target: 'image' });
    expect(unit(image.plan, 'researcher')?.program).toMatchObject({ fixedPort: 8080 });
    expect(printPlan(image.plan as Plan)).toContain('listens on 8080');
    const command = await plan({ researcher: both, rater });
    expect(unit(command.plan, 'researcher')?.program).toMatchObject({ portVariable: 'PORT' });
    expect(unit(command.plan, 'researcher')?.program).not.toHaveProperty('fixedPort');
    // An image that needs a variable PORT for itself may have it; a command is told its port there.
    const { command: _, ...imageOnly } = both;
    expect(messages((await plan({ researcher: { ...imageOnly, env: { PORT: '8080' } }, rater }, { target: 'image' })).bound)).toEqual([]);
    expect(messages((await plan({ researcher: { ...both, env: { PORT: '8080' } }, rater })).bound)[0]).toContain('PORT is given by both');
  });

  it('reaches an external one at its URL, never deploys it, and shares its limits out over its callers', async () => {
    const { plan: made } = await plan({ researcher, rater }, { replicas: { desk: 2 } });
    const route = unit(made, 'desk')?.routes.find(({ to }) => to === 'rater');
    expect(route).toMatchObject({ address: 'http://rater.example/rate', protocol: 'http-json', limits: { concurrency: 1, perSecond: 5 } });
    expect(made?.units.flatMap(({ agents }) => agents)).not.toContain('rater');
    expect(printPlan(made as Plan)).toContain(
      'calls desk->rater by http-json at http://rater.example/rate (each replica at most 1 at once, 5/s)',
    );
    const tooMany = await plan({ researcher, rater }, { replicas: { desk: 4 } });
    expect(tooMany.plan).toBeUndefined();
    expect(messages(tooMany.problems)).toEqual([
      '4 replicas (desk x4) call the external "rater", which may be given at most 3 calls at once',
    ]);
  });

  it('keeps the limits also from programs, which nobody could hold back', async () => {
    const { problems } = await plan({ desk: { command: ['desk'] }, helper: rater }, { specifier: './workflow.yaml' });
    expect(messages(problems)).toEqual([
      'channel desk->helper: "desk" runs elsewhere, so nobody could keep it within what the external "helper" may be given',
    ]);
  });

  it('puts an ingress of its own before an entry that is somebody else’s', async () => {
    const { plan: made, problems } = await plan(
      {
        desk: { command: ['desk'], neighbours: { HELPER_URL: 'helper' }, models: { main: 'OPENAI' } },
        helper: { command: ['helper'], path: '/ask' },
      },
      { specifier: './workflow.yaml' },
    );
    expect(problems).toEqual([]);
    expect(made?.units.map(({ id, agents, ingress }) => [id, agents, ingress])).toEqual([
      ['desk', ['desk'], false],
      ['helper', ['helper'], false],
      ['ingress', [], true],
    ]);
    expect(made?.ingress.unit).toBe('ingress');
    expect(unit(made, 'ingress')?.routes).toEqual([expect.objectContaining({ channel: 'ingress->desk', from: 'ingress', to: 'desk' })]);
    expect(unit(made, 'desk')?.program?.neighbours).toEqual({
      HELPER_URL: { component: 'helper', address: 'unit://helper/http-json', url: 'http://{at}/ask' },
    });
    expect(unit(made, 'desk')?.program?.models).toEqual({
      main: { baseUrl: 'OPENAI_BASE_URL', key: 'OPENAI_API_KEY', model: 'OPENAI_MODEL' },
    });
    expect(unit(made, 'desk')?.models).toHaveProperty('main');
    expect(made?.services.map(({ id }) => id)).toEqual(['model-main']);
  });

  it('speaks on each channel what the stranger at its end speaks, whatever the layout says', async () => {
    const { plan: made, problems } = await plan({ researcher: { ...researcher, speaks: 'a2a' }, rater });
    expect(problems).toEqual([]);
    expect(unit(made, 'desk')?.routes.map(({ to, protocol }) => [to, protocol])).toEqual([
      ['rater', 'http-json'],
      ['researcher', 'a2a'],
    ]);
    expect(unit(made, 'archive')?.listens.map(({ protocol }) => protocol)).toEqual(['a2a']);
    const { problems: refused } = await plan({ researcher: { ...researcher, speaks: 'grpc' }, rater });
    expect(messages(refused)).toContain(
      'channel desk->researcher: "researcher" runs elsewhere, and grpc is spoken only among our own units',
    );
  });

  it('refuses what the target does not start', async () => {
    expect(messages((await plan({ researcher, rater }, { target: 'image' })).problems)).toEqual([
      '"researcher" is given by a command, which target process does not start',
    ]);
    const both = await plan({ researcher: { ...researcher, image: 'research:1' }, rater }, { target: 'image' });
    expect(unit(both.plan, 'researcher')?.program).toMatchObject({ image: 'research:1' });
    expect(unit(both.plan, 'researcher')?.program).not.toHaveProperty('command');
  });

  it('leaves external ones out of the space, keeps programs apart, and offers one protocol for them', async () => {
    const { workflow, config, defaults } = await plan({ researcher, rater });
    const search = scenario({
      search: { replicas: { default: [1, 5] }, protocols: { default: ['grpc', 'http-json'] } },
      agents: { researcher, rater },
    });
    const { space, problems } = buildSpace({
      workflow,
      config: search,
      targetTraits: { enforces: { vcpu: false, memory: false }, unixSockets: true },
      protocolIds: ['http-json', 'grpc'],
      defaults,
    });
    expect(problems).toEqual([]);
    expect(space.components).toEqual(['archive', 'desk', 'researcher']);
    expect(space.protocols['desk->researcher']).toEqual([{ protocol: 'http-json', options: {} }]);
    expect(space.replicas.desk).toEqual({ min: 1, max: 3 });
    expect(space.replicas.archive).toEqual({ min: 1, max: 5 });
    const one = allInOne(workflow, defaults);
    expect(one.units.map(({ id }) => id)).toEqual(['archive+desk', 'researcher']);
    expect(satisfies({ ...space, protocols: { ...space.protocols } }, one)).toEqual([]);
    expect(config.agents.researcher?.port).toBe('PORT');
  });
});

describe('what a scenario says of components that run elsewhere', () => {
  const problemsOf = async (agents: object) => (await plan(agents)).bound;
  it('names what is missing, double, unknown or not to be said', async () => {
    expect(await problemsOf({ researcher })).toMatchObject([
      {
        code: 'DMAS_WF_ELSEWHERE',
        message: '"rater" runs elsewhere, but agents does not say how it is run or reached',
        fix: expect.stringContaining('add agents: { rater:'),
      },
    ]);
    expect(await problemsOf({ researcher, rater, desk: { command: ['x'] } })).toMatchObject([
      {
        code: 'DMAS_WF_ELSEWHERE',
        message: '"desk" is code of this workflow, so nothing is to be started for it',
        at: { file: 'scenario.yaml', line: 'agents.desk'.length },
      },
    ]);
    expect(await problemsOf({ researcher, rater, raterr: rater })).toMatchObject([{ code: 'DMAS_CFG_UNKNOWN_AGENT', didYouMean: 'rater' }]);
    expect(await problemsOf({ researcher: {}, rater })).toMatchObject([
      { code: 'DMAS_CFG_MISSING_KEY', allowed: ['command', 'image', 'external'] },
      { code: 'DMAS_WF_ELSEWHERE', severity: 'warning', message: '"researcher" calls "archive", but is not told where that is' },
    ]);
    expect(messages(await problemsOf({ researcher, rater: { ...rater, command: ['x'], env: { A: 1 } } }))).toEqual([
      'agents.rater is both started here and external',
      'agents.rater is external: it is not started here and gets no env',
    ]);
  });

  it('maps only neighbours that are called, in words they understand, and each variable once', async () => {
    const asking = (neighbours: object, more: object = {}) => problemsOf({ researcher: { command: ['x'], neighbours, ...more }, rater });
    expect(await asking({ DESK_URL: 'desk', ARCHIVE_URL: 'archive' })).toMatchObject([
      { code: 'DMAS_CFG_UNKNOWN_AGENT', message: 'the workflow does not say that "researcher" calls "desk"', allowed: ['archive'] },
    ]);
    expect(messages(await asking({ PORT: 'archive' }))).toEqual(['agents.researcher: PORT is given by both port and neighbours.PORT']);
    expect(messages(await asking({ A: 'archive' }, { env: { A: 'x' } }))).toEqual([
      'agents.researcher: A is given by both env.A and neighbours.A',
    ]);
    const file = './workflow.yaml';
    const { bound } = await plan(
      { desk: { command: ['x'], neighbours: { H: 'helper' } }, helper: { command: ['y'], speaks: 'a2a' } },
      { specifier: file },
    );
    expect(bound).toMatchObject([{ code: 'DMAS_CFG_CONTRADICTION', message: '"desk" asks "helper" in http-json, but that speaks a2a' }]);
    const asked = {
      desk: { command: ['x'], neighbours: { H: { component: 'helper', protocol: 'a2a' } } },
      helper: { command: ['y'], speaks: 'a2a' },
    };
    expect((await plan(asked, { specifier: file })).bound).toEqual([]);
  });

  it('makes what repeats it safely, runs and holds what the scenario says', async () => {
    const { workflow } = await plan({ researcher: { ...researcher, effect: 'sideEffect', concurrency: 7, secrets: ['KEY'] }, rater });
    expect(workflow.agents.find(({ name }) => name === 'researcher')).toMatchObject({
      mobility: 'replicasOnly',
      concurrency: 7,
      secrets: ['KEY'],
    });
    expect(workflow.agents.find(({ name }) => name === 'rater')).toMatchObject({ mobility: 'external', concurrency: 3 });
    expect(workflow.channels.find(({ id }) => id === 'desk->researcher')?.repeatable).toBe(false);
  });
});
