import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { emitLayout } from '../../cli/commands/export.ts';
import type { Project } from '../../cli/project.ts';
import { runFolder } from '../../cli/run-folder.ts';
import { type Configuration, canonicalConfiguration, canonicalJson, onePerComponent } from '../../compiler/contracts/index.ts';
import { compose } from '../../compiler/emit/compose.ts';
import { foldStudy } from '../../optimizer/journal.ts';
import { ingressHeaders } from '../../profiler/load/job.ts';
import { openEngine } from '../../runtime/targets/docker/engine.ts';
import { ensureNodeImage } from '../../runtime/targets/docker/image.ts';
import { type Application, type Bench, openBench, scenarioFolder } from '../placements/deploy.ts';
import { composeProject, noCompose, writeFiles } from './compose-project.ts';

/** Every example whose programs are all ours; those of others in `polyglot` are commands, not images. */
const all = [
  'weather-news',
  'support-desk',
  'document-pipeline',
  'langgraph-supervisor',
  'travel-planner',
  'group-chat',
  'mixed-load',
  'coding-agent',
  'langgraph-tools',
  'langgraph-approval',
  'openai-agents-triage',
];
const examples = process.env.DMAS_OPT_FULL === '1' ? all : all.slice(0, 1);

/** Inputs asked of each class, and of each conversation. */
const asked = 4;

interface Question {
  readonly id: string;
  readonly input: unknown;
  readonly session?: string;
}

/** Some inputs of every class, and where agents remember, conversations: each in its order. */
function conversationsOf({ workload, workflow }: Project): readonly (readonly Question[])[] {
  const single = workload.classes.flatMap(({ name, inputs }) => inputs.slice(0, asked).map((input, n) => [{ id: `${name}-${n}`, input }]));
  const [first] = workload.classes;
  const remembers = workflow.agents.some((agent) => agent.usesSessionState);
  const sessions = (remembers ? ['a', 'b', 'c'] : []).map((session) =>
    (first?.inputs ?? []).slice(0, asked).map((input, n) => ({ id: `${session}-${n}`, input, session })),
  );
  return [...single, ...sessions];
}

type Answers = { readonly [question: string]: string };

async function answersOf(project: Project, ask: (question: Question) => Promise<string>): Promise<Answers> {
  const answers: Record<string, string> = {};
  await Promise.all(
    conversationsOf(project).map(async (conversation) => {
      for (const question of conversation) answers[question.id] = withoutIds(await ask(question));
    }),
  );
  return answers;
}

/** Messages of LangGraph and its pauses have random ids; a pause says when it began and, where it is traced, in which trace. */
const withoutIds = (answer: string) =>
  answer
    .replace(/,"traceparent":"[^"]*"/, '')
    .replace(/"pausedAtMs":[\d.]+/, '"pausedAtMs":0')
    .replace(/[\da-f]{8}(-?[\da-f]{4}){3}-?[\da-f]{12}/g, '<id>');

const ofProcesses =
  ({ ask }: Application) =>
  async (question: Question) => {
    const { status, output } = await ask(question);
    return `${status} ${output}`;
  };

const at = (url: string) => async (question: Question) => {
  const response = await fetch(`${url}/`, {
    method: 'POST',
    body: JSON.stringify(question.input),
    headers: {
      'content-type': 'application/json',
      [ingressHeaders.request]: question.id,
      ...(question.session === undefined ? {} : { [ingressHeaders.session]: question.session }),
    },
  });
  return `${response.status} ${canonicalJson(JSON.parse(await response.text()))}`;
};

/** Two of everything that a layout may have two of: callers balance, sessions stick, the ingress gets its gateway. */
function twice({ workflow, defaults, space }: Project): Configuration {
  const plain = onePerComponent(workflow, defaults);
  const units = plain.units.map((unit) => ({
    ...unit,
    replicas: unit.components.every((name) => space.components.includes(name)) ? 2 : 1,
  }));
  return canonicalConfiguration({ ...plain, units });
}

describe.skipIf(noCompose !== undefined)(`an exported Compose project${noCompose === undefined ? '' : `: skipped, ${noCompose}`}`, () => {
  let image = '';
  let folder = '';
  beforeAll(async () => {
    const docker = await openEngine();
    const made = await ensureNodeImage(docker);
    // Under a name of its own, so that nobody who cleans up meanwhile takes it away.
    image = `dmas-test-node:${process.pid}`;
    await docker.getImage(made).tag({ repo: 'dmas-test-node', tag: String(process.pid) });
    folder = await mkdtemp(join(tmpdir(), 'dmas-compose-'));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
    const docker = await openEngine();
    await docker.getImage(image).remove();
  });

  it.each(examples)('of %s, started by itself, answers like processes', { timeout: 240_000 }, async (name) => {
    const bench: Bench = await openBench(`${scenarioFolder(name)}/scenario.yaml`, undefined, true);
    const { project } = bench;
    try {
      const expected = await bench.with(onePerComponent(project.workflow, project.defaults), (application) =>
        answersOf(project, ofProcesses(application)),
      );
      const files = await emitLayout({
        ...{ project, study: foldStudy([]), folder: runFolder(join(folder, 'run'), 'run'), configuration: twice(project) },
        ...{ descriptor: compose, settings: compose.options.parse({}) },
      });
      const exported = join(folder, name);
      await writeFiles(exported, files);
      const secrets = Object.fromEntries(project.workflow.agents.flatMap(({ secrets }) => secrets.map((secret) => [secret, 'x'])));
      const started = await composeProject(exported, `dmas-test-${process.pid}-${name}`, { NODE_IMAGE: image, ...secrets });
      try {
        await started.up();
        expect(await answersOf(project, at(started.url))).toEqual(expected);
      } finally {
        await started.down();
      }
    } finally {
      await bench.close();
    }
  });
});
