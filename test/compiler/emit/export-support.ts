import type { Bundle, Configuration, Plan, PlannedUnit, TargetTraits, Workflow } from '../../../compiler/contracts/index.ts';
import { containerTraits, type EmitInput, type EmittedFile, type ExportFacts } from '../../../compiler/emit/emitter.ts';
import { accessOf } from '../../../compiler/plan/access.ts';
import { baselineConfiguration } from '../../../compiler/plan/baseline.ts';
import { planDeployment } from '../../../compiler/plan/plan-deployment.ts';
import { newsroom, planRequest, scenario } from '../support.ts';

export const facts: ExportFacts = {
  origin: 'run newsroom-1, layout 3',
  capacityPerReplica: {},
  startMs: {},
  claims: ['latency p95 120 ms (95 % interval 110 ms to 130 ms, 6 blocks, measured)'],
  scenarioFile: '/home/somebody/newsroom/scenario.yaml',
};

/** A model of others, with a key. */
export const theirs = { models: { main: { backend: 'openai-compatible', url: 'https://models.example/v1', secret: 'MODEL_KEY' } } };

interface Wanted {
  readonly given?: object;
  /** Of every unit. */
  readonly replicas?: number;
  readonly target?: TargetTraits;
  /** The last word on the plan. */
  readonly change?: (plan: Plan) => Plan;
}

/** What an emitter gets of the newsroom, one unit per agent. */
export async function emitInput({
  given = {},
  replicas = 1,
  target = containerTraits,
  change = (plan) => plan,
}: Wanted = {}): Promise<EmitInput> {
  const workflow: Workflow = await newsroom();
  const { configuration } = baselineConfiguration(workflow, scenario(given));
  const wanted: Configuration = { ...configuration, units: configuration.units.map((unit) => ({ ...unit, replicas })) };
  const { plan: planned, problems } = planDeployment({ ...planRequest(workflow, wanted, given), target: 'export', targetTraits: target });
  if (planned === undefined) throw new Error(JSON.stringify(problems));
  const plan = change(planned);
  const own = [...plan.units, ...plan.services].filter(({ program }) => program === undefined);
  const bundles = own.map(({ id }): Bundle => ({ id, code: `// ${id}\n`, entry: '', sha256: id, sizeBytes: 0, modules: [] }));
  return { plan, bundles, access: accessOf(plan), workflow, facts };
}

/** One unit of the plan built by others instead, told of its first neighbour and its model. */
export function foreignly(id: string, started: { readonly image?: string; readonly command?: readonly string[] }) {
  return (plan: Plan): Plan => ({
    ...plan,
    units: plan.units.map((unit): PlannedUnit => {
      if (unit.id !== id) return unit;
      const [route] = unit.routes;
      const neighbours = route === undefined ? {} : { NEXT_URL: { component: route.to, address: route.address, url: 'http://{at}/' } };
      const models = Object.fromEntries(
        Object.keys(unit.models).map((model) => [model, { baseUrl: 'OPENAI_BASE_URL', key: 'OPENAI_API_KEY' }]),
      );
      return {
        ...unit,
        program: {
          ...started,
          ...{
            folder: 'py',
            environment: { GREETING: 'costs $5 & "more" 100%' },
            portVariable: 'PORT',
            path: '/',
            neighbours,
            models,
            instrumented: true,
          },
        },
      };
    }),
  });
}

/** All files as one text, for a golden one. */
export const asText = (files: readonly EmittedFile[]): string =>
  files.map(({ path, content, mode }) => `==== ${path}${mode === undefined ? '' : ` (${mode.toString(8)})`}\n${content}`).join('\n');

export const fileOf = (files: readonly EmittedFile[], path: string): string => {
  const found = files.find((file) => file.path === path);
  if (found === undefined) throw new Error(`there is no ${path}, only ${files.map((file) => file.path).join(', ')}`);
  return found.content;
};
