import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deployConfiguration } from '../../cli/laboratory.ts';
import { openProject, openTarget } from '../../cli/project.ts';
import { createRunFolder } from '../../cli/run-folder.ts';
import { callErrorCodes, type StageContext } from '../../compiler/contracts/index.ts';
import type { Report } from '../../reports/report.ts';
import type { Deployment } from '../../runtime/targets/target.ts';
import { cli, fixture, start } from './lib/command.ts';
import { blocksOf, createSandbox, processesOf, type Sandbox, signal, until } from './lib/sandbox.ts';

let sandbox: Sandbox;
let deployment: Deployment | undefined;
beforeEach(() => {
  sandbox = createSandbox();
});
afterEach(async () => {
  await deployment?.stop();
  deployment = undefined;
  delete process.env.FAULTS_STORE;
  await sandbox.remove();
});

async function deployDesk(store: 'memory' | 'file'): Promise<Deployment> {
  process.env.FAULTS_STORE = store;
  const project = await openProject(fixture('desk.yaml'));
  const context: StageContext = { emit: () => {}, signal: new AbortController().signal, now: Date.now, seed: 1 };
  const folder = await createRunFolder(sandbox.runs, 'desk', Date.now());
  deployment = await deployConfiguration(
    { project, target: await openTarget(project), folder, context },
    project.baseline,
    'desk-1',
    context,
  );
  return deployment;
}

interface Answer {
  readonly status: number;
  readonly body: { readonly answer?: string; readonly code?: string };
}

async function ask(at: Deployment, kind: string, n: number, session?: string): Promise<Answer> {
  const response = await fetch(at.ingressUrls[0] ?? '', {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-dmas-deadline-ms': '5000',
      ...(session === undefined ? {} : { 'x-dmas-session': session }),
    },
    body: JSON.stringify({ kind, n }),
  });
  return { status: response.status, body: (await response.json()) as Answer['body'] };
}

const unitOf = (at: Deployment, agent: string): string => at.plan.units.find((unit) => unit.agents.includes(agent))?.id ?? '';
const restarted = (at: Deployment, unit: string, replica: number): boolean =>
  at.incidents().some((incident) => incident.what === 'restarted' && incident.unit === unit && incident.replica === replica);

describe('a replica that is killed under load', () => {
  it('has its calls repeated where that is safe, failed typed where it is not, and everything else goes on', async () => {
    const at = await deployDesk('memory');
    const unit = unitOf(at, 'work');
    const kinds = ['work', 'book', 'chat'] as const;
    const answers: { readonly kind: string; readonly answer: Promise<Answer> }[] = [];
    for (let n = 0; n < 150; n += 1) {
      for (const kind of kinds) answers.push({ kind, answer: ask(at, kind, n) });
      if (n === 40) void at.kill(unit, 0);
      await sleep(10);
    }
    const of = async (kind: string) => Promise.all(answers.filter((each) => each.kind === kind).map((each) => each.answer));
    const [work, book, chat] = [await of('work'), await of('book'), await of('chat')];
    const failed = (list: readonly Answer[]) => list.filter(({ status }) => status !== 200);

    expect(failed(chat)).toEqual([]);
    for (const { status, body } of [...failed(work), ...failed(book)]) {
      expect(Object.keys(callErrorCodes)).toContain(body.code);
      expect(status).toBe(callErrorCodes[body.code as keyof typeof callErrorCodes].status);
    }
    // The other replica takes what may be repeated.
    expect(failed(work).length).toBeLessThanOrEqual(work.length * 0.05);
    // What may not be repeated is lost only where it was in flight on the dead replica.
    expect(failed(book).length).toBeLessThanOrEqual(book.length * 0.25);
    work.forEach(({ status, body }, n) => {
      if (status === 200) expect(body.answer).toBe(`worked on ${n}`);
    });

    expect(await until(() => restarted(at, unit, 0), 30_000)).toBe(true);
    expect(at.incidents().map(({ what }) => what)).toContain('killed');
    const usage = (await at.usage()).filter(({ id }) => id === unit);
    expect(usage.map(({ restarts }) => restarts)).toEqual([1, 0]);
    expect(await ask(at, 'work', 7)).toEqual({ status: 200, body: { answer: 'worked on 7' } });
  }, 60_000);

  it.each([
    { store: 'memory', what: 'are gone with the replica that held them' },
    { store: 'file', what: 'survive it' },
  ] as const)(
    'with sessions in the $store store: they $what',
    async ({ store }) => {
      const at = await deployDesk(store);
      const unit = unitOf(at, 'count');
      const sessions = Array.from({ length: 12 }, (_, n) => `session-${n}`);
      for (let turn = 1; turn <= 2; turn += 1) {
        for (const session of sessions) expect((await ask(at, 'count', 0, session)).body.answer, session).toBe(String(turn));
      }
      await at.kill(unit, 0);
      expect(await until(() => restarted(at, unit, 0), 30_000)).toBe(true);
      const after = await Promise.all(sessions.map(async (session) => (await ask(at, 'count', 0, session)).body.answer));
      const kept = after.filter((turn) => turn === '3').length;
      const lost = after.filter((turn) => turn === '1').length;
      expect(kept + lost).toBe(sessions.length);
      if (store === 'file') expect(lost).toBe(0);
      else {
        // The sessions of one replica, and only those.
        expect(lost).toBeGreaterThan(0);
        expect(kept).toBeGreaterThan(0);
      }
    },
    60_000,
  );

  it('in a study spoils the block it was lost in, and the trial and the report say so', async () => {
    const command = start(sandbox, ['run', fixture('desk.yaml'), '--progress', 'ndjson']);
    const run = () => sandbox.run() ?? '';
    expect(await command.says(/"blockId":"profile-0-/, 60_000), command.stderr()).toBe(true);
    await sleep(600);
    const unit = processesOf(sandbox.folder).find((pid) =>
      /DMAS_BINDING=[^\0]*work[^\0]*\.0\.\d+\.json/.test(readFileSync(`/proc/${pid}/environ`, 'utf8')),
    );
    expect(unit).toBeDefined();
    signal(unit ?? 0, 'SIGKILL');
    const ended = await command.finished;
    expect([0, 30], ended.stderr).toContain(ended.code);

    const hit = blocksOf(run()).filter((block) => block.quality.faults.some(({ fault }) => fault === 'replica-lost'));
    expect(hit.length).toBeGreaterThan(0);
    expect(hit[0]?.quality.valid).toBe(false);
    const incidents = hit.flatMap((block) => block.incidents);
    expect(incidents.map(({ what }) => what)).toContain('crashed');
    expect(incidents[0]?.detail).toContain('SIGKILL');
    const report = JSON.parse(readFileSync(join(run(), 'report.json'), 'utf8')) as Report;
    expect(report.warnings.map(({ code }) => code)).toContain('replica-lost');
    const trial = report.trials.find((each) => each.blocks.some((block) => block.id === hit[0]?.id));
    const shown = await cli(sandbox, ['show', basename(run()), '--trial', String(trial?.number)]);
    expect(shown.stdout).toMatch(/excluded: .*replica-lost/);
    // The layout is not blamed for it: later blocks are measured again.
    expect(report.trials.map(({ state }) => state)).not.toContain('failed');
  }, 90_000);
});
