import { beforeAll, describe, expect, it } from 'vitest';
import type { Plan, Problem, TargetTraits, Workflow } from '../../../compiler/contracts/index.ts';
import { baselineConfiguration } from '../../../compiler/plan/baseline.ts';
import { planDeployment } from '../../../compiler/plan/plan-deployment.ts';
import { printPlan } from '../../../compiler/plan/print.ts';
import { vllm } from '../../../runtime/llm/vllm.ts';
import { llmTraits, newsroom, planRequest, scenario } from '../support.ts';

let workflow: Workflow;
beforeAll(async () => {
  workflow = await newsroom();
});

const onProcess: TargetTraits = { enforces: { vcpu: false, memory: false }, unixSockets: true, programs: 'command' };
const onNothing: TargetTraits = { enforces: { vcpu: false, memory: false }, unixSockets: true };
const onDocker: TargetTraits = { enforces: { vcpu: true, memory: true }, unixSockets: false, programs: 'image' };

function plan(model: object, targetTraits: TargetTraits, replicas = 1): { readonly plan?: Plan; readonly problems: readonly Problem[] } {
  const given = { models: { main: { backend: 'vllm', model: 'Qwen/Qwen3-8B', ...model } } };
  const { configuration } = baselineConfiguration(workflow, scenario(given));
  const main = { replicas, options: configuration.serving.main?.options ?? {} };
  const request = planRequest(workflow, { ...configuration, serving: { main } }, given);
  return planDeployment({ ...request, targetTraits, target: 'here', llmTraits: { ...llmTraits, vllm: vllm.traits } });
}
const serviceOf = (planned: { readonly plan?: Plan }) => planned.plan?.services.find(({ kind }) => kind === 'model');

describe('a model server of others in a plan', () => {
  it('is a command where the target starts commands', () => {
    const options = { tensorParallelSize: 2, dataParallelSize: 2, expertParallel: true, maxNumSeqs: 64, maxNumBatchedTokens: 4096 };
    const service = serviceOf(
      plan({ options: { ...options, gpuMemoryUtilization: 0.85, prefixCaching: true, cacheFolder: '/w' } }, onProcess),
    );
    expect(service).toMatchObject({ id: 'model-main', resources: { vcpu: 0, memoryMb: 0 }, secrets: ['HF_TOKEN'] });
    expect(service?.program).toEqual({
      command: [
        ...['vllm', 'serve', 'Qwen/Qwen3-8B', '--served-model-name', 'Qwen/Qwen3-8B', '--host', '127.0.0.1', '--port', '{port}'],
        ...['--enable-prompt-tokens-details', '--tensor-parallel-size', '2', '--data-parallel-size', '2', '--enable-expert-parallel'],
        ...['--max-num-seqs', '64', '--max-num-batched-tokens', '4096', '--gpu-memory-utilization', '0.85', '--enable-prefix-caching'],
      ],
      folder: '.',
      environment: { VLLM_NO_USAGE_STATS: '1', DO_NOT_TRACK: '1', HF_HOME: '/w' },
      portVariable: 'PORT',
      path: '/',
      neighbours: {},
      models: {},
      ready: { path: '/health' },
      instrumented: false,
      gpus: 4,
      readyTimeoutMs: 1_800_000,
    });
  });

  it('is an image with its own command, its GPUs, cache and shared memory where the target starts containers', () => {
    const options = { image: 'vllm/vllm-openai:v0.19.0', tensorParallelSize: 2, cacheFolder: '/weights', vcpu: 8, memoryMb: 65_536 };
    const planned = plan({ options, secret: 'VLLM_API_KEY' }, onDocker);
    const service = serviceOf(planned);
    expect(service).toMatchObject({ resources: { vcpu: 8, memoryMb: 65_536 }, secrets: ['HF_TOKEN', 'VLLM_API_KEY'] });
    expect(service?.program).toMatchObject({
      image: 'vllm/vllm-openai:v0.19.0',
      fixedPort: 8000,
      gpus: 2,
      mount: { folder: '/weights', at: '/cache' },
      environment: { HF_HOME: '/cache' },
      sharedMemoryMb: 8192,
    });
    expect(service?.program?.command?.slice(0, 7).join(' ')).toBe(
      'vllm serve Qwen/Qwen3-8B --served-model-name Qwen/Qwen3-8B --host 0.0.0.0',
    );
    const printed = planned.plan === undefined ? '' : printPlan(planned.plan);
    expect(printed).toMatch(/runs command vllm serve Qwen\/Qwen3-8B .* in image vllm\/vllm-openai:v0\.19\.0/);
    expect(printed).toContain('has 2 GPUs to itself');
  });

  it('is one process per replica behind a router', () => {
    const { plan: planned } = plan({}, onProcess, 3);
    const services = planned?.services
      .filter(({ id }) => id.endsWith('-main'))
      .map(({ id, kind, replicas, program }) => [id, kind, replicas, program !== undefined]);
    expect(services).toEqual([
      ['model-main', 'model', 3, true],
      ['router-main', 'router', 1, false],
    ]);
  });

  it('is not started where one is pointed at', () => {
    const { plan: planned } = plan({ url: 'http://gpu-box:8000/v1' }, onProcess);
    expect(planned?.services.filter(({ kind }) => kind === 'model')).toEqual([]);
    expect(planned?.units.flatMap(({ models }) => Object.values(models))[0]).toMatchObject({
      address: 'http://gpu-box:8000/v1',
      backend: 'vllm',
    });
  });

  it('takes no GPUs where it is told so', () => {
    expect(serviceOf(plan({ options: { gpus: 0 } }, onProcess))?.program).not.toHaveProperty('gpus');
  });

  it.each<[string, object, TargetTraits, string, RegExp]>([
    ['a container without an image', {}, onDocker, 'names no image', /options\.image: vllm\/vllm-openai/],
    ['a target that starts nothing of others', {}, onNothing, 'starts no model server', /models\.main\.url/],
    [
      'a server that is not told what to load',
      { model: undefined },
      onProcess,
      'does not say what its server loads',
      /models\.main\.model/,
    ],
  ])('refuses %s, with a fix', (_what, model, traits, message, fix) => {
    const { plan: planned, problems } = plan(model, traits);
    expect(planned).toBeUndefined();
    expect(problems).toHaveLength(1);
    expect(problems[0]?.message).toContain(message);
    expect(problems[0]?.fix).toMatch(fix);
  });

  it('refuses options vLLM does not have, with the nearest it has', () => {
    const { problems } = plan({ options: { maxNumSeq: 4, kvTokens: 7 } }, onProcess);
    expect(problems.map(({ message, didYouMean }) => [message, didYouMean])).toEqual([
      ['model "main" has no option "maxNumSeq"', 'maxNumSeqs'],
      ['model "main" has no option "kvTokens"', undefined],
    ]);
  });
});
