import type { Plan } from '../../contracts/index.ts';
import type { ExportFacts } from '../emitter.ts';
import { claimLines, imageLines, noteLines } from '../readme-parts.ts';
import { rayServiceName } from './names.ts';
import type { RayOptions } from './options.ts';
import { modelUrl } from './prepare.ts';
import { deploymentName, type ServedPool, servePort } from './serve-config.ts';

/** How to apply, verify and roll back what was written. */
export function rayReadme(
  plan: Plan,
  pools: readonly ServedPool[],
  options: RayOptions,
  facts: ExportFacts,
  image: string,
  secrets: boolean,
): string {
  const name = rayServiceName(plan);
  return [
    `# ${plan.application} with its models on Ray`,
    '',
    `Written by dmas-opt from ${facts.origin}.`,
    ...noteLines(facts),
    '',
    '| File | What |',
    '|---|---|',
    '| `ray-service.yaml` | a RayService (`ray.io/v1`): Ray Serve LLM serves the models |',
    '| `serve-config.yaml` | what `serveConfigV2` in it says, for `serve deploy` on a Ray cluster without KubeRay |',
    '| `agents.yaml` | the units and services of the application: Deployments beside Ray, as format kubernetes writes them |',
    '| `image/` | the image of all units: `docker build` needs nothing else |',
    ...(secrets ? ['| `secrets.template.yaml` | names of the secrets, to be filled in and applied before the units |'] : []),
    '',
    '## Who runs where',
    '',
    'Ray serves the models and nothing else. The units are Node.js programs; a Serve replica is a Python actor, so inside Ray each',
    'would be a child process of an actor, every call to it would cross the Serve proxy and that actor, and its replicas would be',
    'hidden from the units that balance over them. They are Deployments beside Ray and find the models at:',
    '',
    ...pools.map((pool) => `- \`${pool.model}\`: ${modelUrl(plan, pool)}`),
    '',
    ...poolTable(pools),
    '',
    '## Needs',
    '',
    '- KubeRay 1.4 or later (`kubectl get crd rayservices.ray.io`), and nodes with the GPUs above that announce `nvidia.com/gpu`.',
    `- The image: ${options.rayImage === '' ? `\`rayproject/ray-llm:${options.rayVersion}-py312-cu130\`, tagged as the images of KubeRay’s samples are; where your GPUs need another CUDA, export again with \`--set rayImage=…\`.` : `\`${options.rayImage}\`.`}`,
    ...(options.hfSecret === '' ? [] : [`- A Secret \`${options.hfSecret}\` with the key HF_TOKEN.`]),
    '',
    '## Apply',
    '',
    ...imageLines(image),
    '',
    '```sh',
    'kubectl apply -f ray-service.yaml',
    `kubectl wait --for=condition=Ready rayservice/${name} --timeout=60m`,
    'kubectl apply -f agents.yaml',
    '```',
    '',
    'Loading the weights takes minutes. Units that come up first answer `unavailable` until the models do.',
    '',
    '## Verify',
    '',
    '```sh',
    `kubectl get rayservice ${name} -o jsonpath='{.status.activeServiceStatus.applicationStatuses}'`,
    `kubectl port-forward svc/${name}-serve-svc ${servePort}:${servePort} &`,
    ...pools.map((pool) => `curl -sf localhost:${servePort}/${pool.name}/v1/models`),
    '```',
    '',
    ...claimLines(facts),
    '',
    '## Scale',
    '',
    ...scaleLines(pools, name),
    '',
    '## Roll back',
    '',
    '```sh',
    'kubectl delete -f agents.yaml',
    'kubectl delete -f ray-service.yaml',
    '```',
    '',
    'To go back to an earlier export, apply its files. A change of `serveConfigV2` alone is made in place. A change of',
    '`rayClusterConfig` makes KubeRay start a second cluster beside the first and switch over when it is ready: for that time it',
    'needs the GPUs twice, and where they are not there the old cluster keeps serving.',
    '',
    '## What Ray does not check',
    '',
    'Serve takes unknown keys in its config without a word (it does so to stay compatible), so a misspelt one has no effect. The',
    'keys here are checked against Ray 2.60 when dmas-opt is built; check what you add by hand.',
    '',
  ].join('\n');
}

function poolTable(pools: readonly ServedPool[]): string[] {
  return [
    '| Model | Weights | Replicas | GPUs of each | Scaled by | Measured for one replica |',
    '|---|---|---|---|---|---|',
    ...pools.map(({ model, weights, replicas, maxReplicas, gpusPerReplica, gpu, scaling, capacity }) =>
      [
        '',
        model,
        weights,
        scaling === 'ray' || maxReplicas > replicas ? `${replicas}, at most ${maxReplicas}` : String(replicas),
        `${gpusPerReplica} × ${gpu ?? 'any'}`,
        scaling === 'ray' ? 'Ray' : 'its REST API',
        capacity === undefined
          ? 'nothing'
          : `${Number(capacity.requestsPerSecond.toPrecision(3))} requests/s with ${Number(capacity.concurrency.toPrecision(3))} under way (${capacity.provenance})`,
        '',
      ]
        .join(' | ')
        .trim(),
    ),
  ];
}

function scaleLines(pools: readonly ServedPool[], name: string): string[] {
  const byRay = pools.filter(({ scaling }) => scaling === 'ray');
  const byHand = pools.filter(({ scaling }) => scaling === 'external');
  return [
    ...(byRay.length === 0
      ? []
      : [
          `Ray scales ${byRay.map(({ model }) => `\`${model}\``).join(', ')} so that each replica has \`target_ongoing_requests\` calls under way: the number`,
          'that was under way at the rate one replica took within the objective’s limits (rate × time, Little’s law).',
          '`max_replicas` is what the layout has; raise it there and `maxReplicas` of the worker group with it.',
        ]),
    ...(byHand.length === 0
      ? []
      : [
          `\`external_scaler_enabled\` leaves the number of replicas of ${byHand.map(({ model }) => `\`${model}\``).join(', ')} to you:`,
          '',
          '```sh',
          `kubectl port-forward svc/${name}-head-svc 8265:8265 &`,
          ...byHand.map(
            (pool) =>
              `curl -sf -X POST -H 'content-type: application/json' -d '{"target_num_replicas": ${pool.replicas}}' 'localhost:8265/api/v1/applications/${pool.name}/deployments/${encodeURIComponent(deploymentName(pool))}/scale'`,
          ),
          '```',
          '',
          'Pods follow up to `maxReplicas` of the worker group.',
        ]),
  ];
}
