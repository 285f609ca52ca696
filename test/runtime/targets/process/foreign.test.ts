import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planOf } from '../../../../cli/laboratory.ts';
import { planRequest } from '../../../../cli/planning.ts';
import type { Project } from '../../../../cli/project.ts';
import { bundlePlan } from '../../../../compiler/bundle.ts';
import { type Configuration, DmasError, onePerComponent } from '../../../../compiler/contracts/index.ts';
import { planDeployment } from '../../../../compiler/plan/plan-deployment.ts';
import { foreignComponents, withForeign } from '../../../../profiler/analyze/stand-ins.ts';
import { buildTraces } from '../../../../profiler/analyze/tree.ts';
import { entryVisits, type Visit } from '../../../../profiler/analyze/visits.ts';
import { cleanProcesses } from '../../../../runtime/targets/process/clean.ts';
import { createProcessTarget } from '../../../../runtime/targets/process/create.ts';
import { processesWithEnvironment, startToken } from '../../../../runtime/targets/process/procfs.ts';
import { findExecutable } from '../../../../runtime/targets/process/program.ts';
import { type Application, type Bench, openBench } from '../../../placements/deploy.ts';

const file = fileURLToPath(new URL('../../../fixtures/elsewhere/scenario.yaml', import.meta.url));

/** What the external rater saw. */
interface Rater {
  readonly server: Server;
  readonly arrivals: number[];
  most: number;
}

async function startRater(): Promise<Rater> {
  let atOnce = 0;
  const rater: Rater = {
    arrivals: [],
    most: 0,
    server: createServer(async (request, response) => {
      rater.arrivals.push(performance.now());
      atOnce++;
      rater.most = Math.max(rater.most, atOnce);
      request.resume();
      await sleep(40);
      atOnce--;
      response.setHeader('content-type', 'application/json').end('{"stars":5}');
    }),
  };
  await new Promise<void>((resolve) => rater.server.listen(0, '127.0.0.1', resolve));
  process.env.RATER_URL = `http://127.0.0.1:${(rater.server.address() as AddressInfo).port}/rate`;
  return rater;
}

/** Most arrivals in any second. */
const mostPerSecond = (arrivals: readonly number[]) =>
  Math.max(0, ...arrivals.map((start) => arrivals.filter((at) => at >= start && at < start + 1_000).length));

describe('programs of others on the process target', () => {
  let rater: Rater;
  let bench: Bench;
  const open = async (behaviour = '', more: Record<string, string> = {}) => {
    process.env.RESEARCHER_BEHAVIOUR = behaviour;
    Object.assign(process.env, more);
    await bench?.close();
    bench = await openBench(file);
    return bench;
  };
  const plain = (project: Project, replicas: { readonly [component: string]: number } = {}): Configuration => {
    const layout = onePerComponent(project.workflow, project.defaults);
    return { ...layout, units: layout.units.map((unit) => ({ ...unit, replicas: replicas[unit.components[0] ?? ''] ?? 1 })) };
  };
  const ask = (application: Application, topic: string, id = topic) => application.ask({ id, input: { topic } });
  const pidIn = (output: string) => Number(/says (\d+)/.exec(output)?.[1]);
  const runs = (pid: number) => startToken(pid) !== null;

  beforeAll(async () => {
    rater = await startRater();
  });
  afterAll(async () => {
    await bench?.close();
    delete process.env.RESEARCHER_BEHAVIOUR;
    delete process.env.RATER_URL;
    rater.server.close();
  });

  it('answers through a program, its neighbour and an external server, and leaves no process behind', async () => {
    const { project, with: deployed } = await open();
    let pid = 0;
    await deployed(plain(project), async (application) => {
      const { status, output } = await ask(application, 'tides');
      expect(status, output).toBe(200);
      expect(output).toMatch(/all about tides, says \d+ \(5 stars\)/);
      pid = pidIn(output);
      expect(runs(pid)).toBe(true);
    });
    expect(runs(pid)).toBe(false);
  });

  it('gives it the port, its neighbours, where spans go, and nothing else of the user', async () => {
    process.env.NOT_FOR_PROGRAMS = 'private';
    const { project, with: deployed } = await open();
    await deployed(plain(project), async (application) => {
      const { output } = await ask(application, 'environment');
      const environment = JSON.parse(JSON.parse(output).text.replace(/ \(5 stars\)$/, ''));
      expect(environment).toMatchObject({
        PORT: expect.stringMatching(/^\d+$/),
        ARCHIVE_URL: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/archive$/),
        API_KEY: 'not-shown',
        OTEL_SERVICE_NAME: 'researcher',
        OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
        OTEL_EXPORTER_OTLP_ENDPOINT: expect.stringMatching(/^http:/),
        OTEL_RESOURCE_ATTRIBUTES: expect.stringContaining('dmas.unit=researcher,dmas.replica=0,dmas.deployment.id='),
      });
      expect(environment).not.toHaveProperty('NOT_FOR_PROGRAMS');
      expect(environment).not.toHaveProperty('RATER_URL');
      const headers = JSON.parse(
        JSON.parse((await application.ask({ id: 'q1', session: 's-1', input: { topic: 'headers' } })).output).text.replace(
          / \(5 stars\)$/,
          '',
        ),
      );
      expect(headers).toMatchObject({ traceparent: expect.any(String), 'x-dmas-session': 's-1', 'x-dmas-request': 'q1' });
      expect(Number(headers['x-dmas-deadline-ms'])).toBeGreaterThan(1_000);
    });
    delete process.env.NOT_FOR_PROGRAMS;
  });

  it('spreads calls over its replicas, and its own over those of its neighbour', async () => {
    const { project, with: deployed } = await open();
    await deployed(plain(project, { researcher: 2, archive: 2 }), async (application) => {
      const answers = await Promise.all(Array.from({ length: 12 }, (_, n) => ask(application, `topic-${n}`)));
      expect(new Set(answers.map(({ output }) => pidIn(output))).size).toBe(2);
      const spans = await application.spans();
      const serving = spans.filter(({ name }) => name === 'serve archive').map(({ replica }) => replica);
      expect(new Set(serving)).toEqual(new Set([0, 1]));
    });
  });

  it('stands in a trace by what its caller saw, with what its neighbour did inside', async () => {
    const { project, with: deployed } = await open();
    await deployed(plain(project), async (application) => {
      for (let n = 0; n < 3; n++) await ask(application, `topic-${n}`);
      const sent = await application.spans();
      const spans = withForeign(sent, foreignComponents(application.deployment.plan));
      const { requests, unbrokenShare } = buildTraces(spans);
      expect(requests).toHaveLength(3);
      expect(unbrokenShare).toBe(1);
      const tree = (visit: Visit): string =>
        `${visit.component}(${visit.calls.map((call) => (call.kind === 'component' ? tree(call.visit) : 'model')).join(' ')})`;
      expect(requests.map((request) => entryVisits(request).map(tree))).toEqual(Array(3).fill(['desk(researcher(archive()) rater())']));
      // Without it the neighbour would be taken for what the caller called.
      expect(buildTraces(sent).requests.map((request) => entryVisits(request).map(tree))[0]).not.toEqual([
        'desk(researcher(archive()) rater())',
      ]);
    });
  });

  it('is restarted when it crashes, and found again at its new port', async () => {
    const { project, with: deployed } = await open();
    await deployed(plain(project), async (application) => {
      const before = pidIn((await ask(application, 'tides')).output);
      expect((await ask(application, 'crash')).status).toBe(503);
      for (
        let waitedMs = 0;
        application.deployment.incidents().every(({ what }) => what !== 'restarted') && waitedMs < 10_000;
        waitedMs += 50
      )
        await sleep(50);
      const { status, output } = await ask(application, 'moons');
      expect(status, output).toBe(200);
      expect(pidIn(output)).not.toBe(before);
      expect(application.deployment.incidents().map(({ unit, what }) => `${unit} ${what}`)).toEqual([
        'researcher crashed',
        'researcher restarted',
      ]);
    });
  });

  it('keeps the address of a neighbour true when that is restarted', async () => {
    const { project, with: deployed } = await open();
    await deployed(plain(project), async (application) => {
      await ask(application, 'tides');
      await application.deployment.kill('archive', 0);
      for (
        let waitedMs = 0;
        application.deployment.incidents().every(({ what }) => what !== 'restarted') && waitedMs < 10_000;
        waitedMs += 50
      )
        await sleep(50);
      const { status, output } = await ask(application, 'moons');
      expect(status, output).toBe(200);
      expect(output).toContain('all about moons');
    });
  });

  it('counts the CPU and memory of everything it starts, and ends all of it', async () => {
    const { project, with: deployed } = await open('children');
    let strays: number[] = [];
    await deployed(plain(project), async (application) => {
      await sleep(1_200);
      const usage = (await application.deployment.usage()).find(({ id }) => id === 'researcher');
      // Two children of 0.4 s each beside the program itself.
      expect(usage?.cpuSeconds).toBeGreaterThan(0.7);
      expect(usage?.peakMemoryMb).toBeGreaterThan(80);
      strays = processesWithEnvironment('OTEL_SERVICE_NAME', 'researcher');
      expect(strays).toHaveLength(3);
    });
    expect(strays.filter(runs)).toEqual([]);
  });

  it('waits for one that starts slowly', async () => {
    const { project, with: deployed } = await open('', { STARTS_AFTER_MS: '700' });
    await deployed(plain(project), async (application) => expect((await ask(application, 'tides')).status).toBe(200));
    process.env.STARTS_AFTER_MS = '0';
  });

  it('kills one that ignores SIGTERM once its time is over', async () => {
    const { project, with: deployed } = await open('stubborn');
    let pid = 0;
    await deployed(plain(project), async (application) => {
      pid = pidIn((await ask(application, 'tides')).output);
    });
    expect(runs(pid)).toBe(false);
  });

  const failure = async (behaviour: string, more: Record<string, string> = {}): Promise<DmasError> => {
    const { project } = await open(behaviour, more);
    const plan = planOf(project, plain(project));
    const target = createProcessTarget({ drainMs: 200, queueLimit: 16 });
    const folder = await mkdtemp(join(tmpdir(), 'dmas-foreign-'));
    const request = {
      deploymentId: `foreign-${process.pid}`,
      plan,
      bundles: await bundlePlan({ plan, workflow: project.workflow }),
      otlpEndpoints: [],
      samplingRatio: 0,
      folder,
      sourceFolder: project.scenario.folder,
      environment: {},
      ingressPort: 0,
      readyTimeoutMs: 3_000,
    };
    try {
      const deployment = await target.deploy(request, { emit: () => {}, signal: new AbortController().signal, now: Date.now, seed: 1 });
      await deployment.stop();
      throw new Error('it came up');
    } catch (error) {
      if (!(error instanceof DmasError)) throw error;
      return error;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };

  it('says that one does not get ready, and which', async () => {
    expect(await failure('never-ready')).toMatchObject({
      code: 'DMAS_DEPLOY_FAILED',
      message: expect.stringMatching(/researcher replica 0 did not start: was not ready within 3000 ms/),
    });
  });

  it('says what one wrote before it ended', async () => {
    expect((await failure('fails')).message).toMatch(/ended( with code 3)? before it was ready[\s\S]*no licence found/);
    const taken = { FIXED_PORT: String((rater.server.address() as AddressInfo).port) };
    expect((await failure('own-port', taken)).message).toMatch(/EADDRINUSE/);
  });

  it('says which command or folder is missing, and what to do', () => {
    const folder = fileURLToPath(new URL('../../../fixtures/elsewhere', import.meta.url));
    const problem = (file: string, where = folder) => {
      try {
        return findExecutable(file, where, '/usr/bin:/bin', 'researcher');
      } catch (error) {
        return (error as DmasError).problems[0];
      }
    };
    expect(problem('sh')).toMatch(/bin\/sh$/);
    expect(problem('python17')).toMatchObject({
      code: 'DMAS_ENV_COMMAND',
      message: 'agents.researcher: python17: not found.',
      fix: 'Install python17 or put it into PATH, or correct agents.researcher.command.',
    });
    expect(problem('./agent.mjs')).toMatchObject({ message: 'agents.researcher: ./agent.mjs may not be executed.' });
    expect(problem('sh', join(folder, 'nowhere'))).toMatchObject({ message: expect.stringContaining('there is no folder') });
  });

  it('ends with its owner, however that ends', async () => {
    const owner = spawn(process.execPath, ['--import', 'tsx', fileURLToPath(new URL('./foreign-owner.ts', import.meta.url))], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const pid = Number(await new Promise<string>((resolve) => owner.stdout.once('data', (data: Buffer) => resolve(data.toString()))));
    expect(runs(pid)).toBe(true);
    owner.kill('SIGKILL');
    for (let waitedMs = 0; runs(pid) && waitedMs < 5_000; waitedMs += 20) await sleep(20);
    expect(runs(pid)).toBe(false);
    expect(await cleanProcesses()).toEqual(expect.arrayContaining([expect.stringContaining('foreign-owner')]));
  });

  it('never gives an external component more than declared, in any layout', async () => {
    for (const replicas of [1, 3]) {
      const { project, with: deployed } = await open();
      rater.most = 0;
      rater.arrivals.length = 0;
      await deployed(plain(project, { desk: replicas }), async (application) => {
        const answers = await Promise.all(Array.from({ length: 26 }, (_, n) => ask(application, `topic-${n}`)));
        expect(answers.every(({ status }) => status === 200)).toBe(true);
      });
      expect(rater.arrivals).toHaveLength(26);
      expect(rater.most).toBeLessThanOrEqual(3);
      expect(mostPerSecond(rater.arrivals)).toBeLessThanOrEqual(20);
    }
    const { project } = await open();
    const { problems } = planDeployment(planRequest(project, plain(project, { desk: 4 })));
    expect(problems.map(({ message }) => message)).toEqual([
      '4 replicas (desk x4) call the external "rater", which may be given at most 3 calls at once',
    ]);
  });
});
