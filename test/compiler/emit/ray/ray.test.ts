import { beforeAll, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import type { Project } from '../../../../cli/project.ts';
import { DmasError, plannedModelsOf } from '../../../../compiler/contracts/index.ts';
import type { MeasuredCapacity } from '../../../../compiler/emit/emitter.ts';
import { rayEmitter } from '../../../../compiler/emit/ray/emit.ts';
import { rayServiceName } from '../../../../compiler/emit/ray/names.ts';
import { kubernetesVersions, validateObject, versionAtHand } from '../../../fixtures/kubernetes/validate.ts';
import { serveSchema } from '../../../fixtures/ray/serve-schema.ts';
import { rayServiceSchema } from '../../../fixtures/ray/service-schema.ts';
import { contentOf, type Exported, exampleNames, exported, openExample } from '../exported.ts';

const capacity: MeasuredCapacity = {
  requestsPerSecond: 12.34567,
  concurrency: 41.2345,
  cpuSecondsPerRequest: 0.01,
  provenance: 'simulated',
};
const serviceOf = (files: Exported) => rayServiceSchema.parse(parse(contentOf(files, 'ray-service.yaml')));
const serveOf = (files: Exported) => serveSchema.parse(parse(serviceOf(files).spec.serveConfigV2));
const firstApp = (files: Exported) => {
  const [app] = serveOf(files).applications;
  if (app === undefined) throw new Error('no application');
  return app;
};
const refusalOf = async (promise: Promise<unknown>) => {
  const error = await promise.then(
    () => undefined,
    (thrown) => thrown,
  );
  if (!(error instanceof DmasError)) throw new Error(`not refused: ${error}`);
  return error.problems[0];
};

let coding: Project;
let travel: Project;
beforeAll(async () => {
  [coding, travel] = await Promise.all([openExample('coding-agent'), openExample('travel-planner')]);
});

describe('the RayService of a layout', () => {
  it('is what it was', async () => {
    const files = await exported(coding, rayEmitter, { facts: { capacityPerReplica: { 'model-main': capacity } } });
    for (const path of ['ray-service.yaml', 'serve-config.yaml', 'README.md'])
      await expect(contentOf(files, path)).toMatchFileSnapshot(`../../../golden/compiler/ray/coding-agent.${path}.txt`);
  });

  it('serves each pool under the name and route its units ask for', async () => {
    const files = await exported(coding, rayEmitter);
    const app = firstApp(files);
    const [config] = app.args.llm_configs;
    const models = files.plan.units.flatMap(plannedModelsOf);
    expect(models.length).toBeGreaterThan(0);
    for (const model of models) {
      expect(model.address).toBe(`http://coding-agent-models-serve-svc:8000${app.route_prefix}/v1`);
      expect(model.model).toBe(config?.model_loading_config.model_id);
      expect(model.backend).toBe('openai-compatible');
    }
    expect(files.plan.services.map(({ kind }) => kind)).not.toContain('model');
    expect(serviceOf(files).metadata.name).toBe('coding-agent-models');
  });

  it('lets the units that ask a model reach Ray, and no other', async () => {
    const files = await exported(coding, rayEmitter);
    const policies = parseAllDocuments(contentOf(files, 'agents.yaml'))
      .map((document) => document.toJS())
      .filter(({ kind }) => kind === 'NetworkPolicy');
    const reaching = policies.filter(({ spec: { egress = [] } }) => JSON.stringify(egress).includes('"port":8000'));
    const asking = files.plan.units.filter((unit) => plannedModelsOf(unit).length > 0);
    expect(reaching.length).toBe(asking.length);
  });

  it('has the engines, the GPU and the routing of the layout', async () => {
    const [config] = firstApp(await exported(coding, rayEmitter)).args.llm_configs;
    expect(config).toMatchObject({
      accelerator_type: 'H100',
      deployment_config: {
        num_replicas: 4,
        request_router_config: { request_router_class: 'ray.serve.experimental.round_robin_router.RoundRobinRouter' },
      },
    });
  });

  it('scales by what was measured, and leaves scaling to others where nothing was', async () => {
    const measured = firstApp(await exported(coding, rayEmitter, { facts: { capacityPerReplica: { 'model-main': capacity } } }));
    expect(measured.external_scaler_enabled).toBeUndefined();
    expect(measured.args.llm_configs[0]?.deployment_config?.autoscaling_config).toEqual({
      min_replicas: 1,
      initial_replicas: 4,
      max_replicas: 4,
      target_ongoing_requests: 41.2,
    });
    expect(firstApp(await exported(coding, rayEmitter)).external_scaler_enabled).toBe(true);
    const asked = await refusalOf(exported(coding, rayEmitter, { options: { scaling: 'ray' } }));
    expect(asked).toMatchObject({ code: 'DMAS_EXPORT', fix: expect.stringContaining('scaling=external') });
  });

  it('has a pod for every replica Serve may have, with its GPUs', async () => {
    const files = await exported(coding, rayEmitter, { options: { maxReplicas: '6', nodeSelector: 'pool=gpu' } });
    const [group] = serviceOf(files).spec.rayClusterConfig.workerGroupSpecs;
    expect(group).toMatchObject({ replicas: 4, maxReplicas: 6 });
    expect(group?.template.spec.nodeSelector).toEqual({ pool: 'gpu' });
    expect(group?.template.spec.containers[0]?.resources.limits['nvidia.com/gpu']).toBe('1');
  });

  it('takes the weights of a model that names none', async () => {
    const files = await exported(travel, rayEmitter, { options: { weights: 'main=Qwen/Qwen3-8B' } });
    expect(firstApp(files).args.llm_configs[0]?.model_loading_config.model_source).toBe('Qwen/Qwen3-8B');
    expect(await refusalOf(exported(travel, rayEmitter, { options: { weights: 'mian=Qwen/Qwen3-8B' } }))).toMatchObject({
      message: expect.stringContaining('mian'),
      allowed: expect.arrayContaining(['main']),
    });
  });

  it('has a name KubeRay takes, however long the application’s is', () => {
    const name = rayServiceName({ application: 'A very long name of an application, longer than any label may be' });
    expect(name).toMatch(/^[a-z][a-z0-9-]{0,45}[a-z0-9]$/);
    expect(rayServiceName({ application: '日本' })).toMatch(/^[a-z]/);
  });
});

describe('what is no Serve config', () => {
  const valid = () => ({
    applications: [
      {
        name: 'main',
        route_prefix: '/main',
        import_path: 'ray.serve.llm:build_openai_app',
        args: { llm_configs: [{ model_loading_config: { model_id: 'm' }, deployment_config: { num_replicas: 1 } }] } as {
          [key: string]: unknown;
        },
      } as { [key: string]: unknown },
    ],
  });
  const app = (change: { [key: string]: unknown }) => ({ applications: [{ ...valid().applications[0], ...change }] });
  const llm = (change: { [key: string]: unknown }) =>
    app({ args: { llm_configs: [{ model_loading_config: { model_id: 'm' }, ...change }] } });

  it.each([
    ['a misspelt key of an application', app({ route_prefx: '/' })],
    [
      'num_replicas inside autoscaling_config, as a template of others has it',
      llm({ deployment_config: { autoscaling_config: { num_replicas: 1 } } }),
    ],
    ['replicas said twice', llm({ deployment_config: { num_replicas: 2, autoscaling_config: { max_replicas: 3 } } })],
    ['an unknown argument of the engine', llm({ engine_kwargs: { max_seqs: 3 } })],
    ['a model named for the engine, which Ray forbids', llm({ engine_kwargs: { served_model_name: 'm' } })],
    ['an accelerator Ray does not know', llm({ accelerator_type: 'h100' })],
    ['an application that scales by itself beside an external scaler', app({ external_scaler_enabled: true })],
    ['a host for one application', app({ host: '0.0.0.0' })],
    ['two applications of one route', { applications: [valid().applications[0], { ...valid().applications[0], name: 'other' }] }],
  ])('%s', (_what, config) => {
    expect(serveSchema.safeParse(valid()).success).toBe(true);
    expect(serveSchema.safeParse(config).success).toBe(false);
  });
});

describe('every example', async () => {
  const weights = 'Qwen/Qwen3-8B';
  it.each(await exampleNames())('%s comes out valid, or says what to change', async (name) => {
    const project = await openExample(name);
    const models = Object.keys(project.scenario.config.models);
    const whole = { options: { weights: models.map((model) => `${model}=${weights}`).join(',') } };
    const attempt = exported(project, rayEmitter, whole);
    if (models.length === 0 || name === 'polyglot') {
      await expect(attempt).rejects.toThrow();
      return;
    }
    const files = await attempt;
    expect(serveOf(files).applications.length).toBe(serviceOf(files).spec.rayClusterConfig.workerGroupSpecs.length);
    expect(serveSchema.parse(parse(contentOf(files, 'serve-config.yaml')))).toEqual(serveOf(files));
    const { headGroupSpec, workerGroupSpecs } = serviceOf(files).spec.rayClusterConfig;
    const pods = [headGroupSpec, ...workerGroupSpecs].map(({ template }) => ({
      apiVersion: 'v1',
      kind: 'PodTemplate',
      metadata: { name: 'ray' },
      template,
    }));
    const objects = [...pods, ...parseAllDocuments(contentOf(files, 'agents.yaml')).map((document) => document.toJS())];
    for (const version of kubernetesVersions.filter(versionAtHand))
      for (const object of objects) expect(validateObject(version, object), `${object.kind} ${object.metadata.name}`).toEqual([]);
    // Without weights only an example whose model names them comes out.
    if (name === 'coding-agent') return;
    const refused = await refusalOf(exported(project, rayEmitter));
    expect(refused).toMatchObject({
      code: 'DMAS_EXPORT',
      message: expect.stringMatching(/^models\.\S+:/),
      fix: expect.stringContaining('--set weights='),
    });
  });
});
