import type { EmitInput } from '../emitter.ts';
import type { KubernetesObject } from '../kubernetes/input.ts';
import { claimLines, imageLines, noteLines } from '../readme-parts.ts';
import { agentName } from './agent.ts';
import type { KagentObjects } from './objects.ts';
import type { KagentOptions } from './options.ts';
import { agentPort } from './prepare.ts';

/** How to apply, verify and roll back what was written. */
export function kagentReadme(
  { plan, facts }: EmitInput,
  { context, agents, models, tools, lost }: KagentObjects,
  { namespace, controllerNamespace }: KagentOptions,
  image: string,
  secrets: readonly KubernetesObject[],
): string {
  const names = agents.map(({ metadata: { name } }) => name);
  // An entry that runs elsewhere is no Agent; then any of them shows whether kagent reaches the units.
  const entry = names.find((name) => name === agentName(context.nameOf(plan.ingress.unit))) ?? names[0] ?? '';
  return [
    `# ${plan.application} for kagent`,
    '',
    `Written by dmas-opt from ${facts.origin}, for kagent 0.9 and 0.10 (\`kagent.dev/v1alpha2\`).`,
    ...noteLines(facts),
    '',
    '| File | What |',
    '|---|---|',
    `| \`agents.yaml\` | ${agents.length} Agents of type BYO, one for each unit with agents |`,
    '| `beside.yaml` | accounts, bindings, policies, Services between units, and Deployments of what is no agent |',
    ...(models.length === 0 ? [] : ['| `models.yaml` | the models as ModelConfigs, for kagent’s catalogue and agents it runs itself |']),
    ...(tools.length === 0 ? [] : ['| `tools.yaml` | tool servers as RemoteMCPServers |']),
    ...(secrets.length === 0 ? [] : ['| `secrets.template.yaml` | names of the secrets, to be filled in |']),
    '| `image/` | the image of all units: `docker build` needs nothing else |',
    '',
    '## Apply',
    '',
    `kagent must run in this cluster, its controller in the namespace ${controllerNamespace}.`,
    '',
    ...imageLines(image),
    '',
    ...(secrets.length === 0
      ? []
      : ['Fill in a copy of `secrets.template.yaml` and apply it first; the units do not start without it.', '']),
    '```sh',
    'kubectl apply -f beside.yaml',
    ...(models.length === 0 ? [] : ['kubectl apply -f models.yaml']),
    ...(tools.length === 0 ? [] : ['kubectl apply -f tools.yaml']),
    'kubectl apply -f agents.yaml',
    '```',
    '',
    'Everything but the Agents works without kagent; the Agents are what it deploys and shows.',
    '',
    '## Verify',
    '',
    '```sh',
    `kubectl -n ${namespace} wait --for=condition=Ready ${names.map((name) => `agent/${name}`).join(' ')} --timeout=5m`,
    `kubectl -n ${controllerNamespace} port-forward svc/kagent-controller 8083:8083 &`,
    `curl -sf localhost:8083/api/a2a/${namespace}/${entry}/.well-known/agent-card.json`,
    '```',
    '',
    ...claimLines(facts),
    '',
    '## Roll back',
    '',
    'Apply the files of the export before; bindings have names made of their content, so both stand until the pods have changed.',
    'To take everything away:',
    '',
    '```sh',
    `kubectl delete -f agents.yaml${tools.length === 0 ? '' : ' -f tools.yaml'}${models.length === 0 ? '' : ' -f models.yaml'} -f beside.yaml`,
    '```',
    '',
    '## What kagent sees, and what it does not',
    '',
    `- Each unit serves its card at \`/.well-known/agent-card.json\` on port ${agentPort} and takes A2A 1.0 and 0.3 there; kagent 0.9 and 0.10`,
    '  call in 0.3. A unit with several agents answers as the first of them, the entry before others; each has a card of its own at',
    '  `/<agent>/.well-known/agent-card.json`.',
    '- Calls between units do not go through kagent: they keep the protocols of the layout, on the headless Services in `beside.yaml`.',
    '- A task of A2A is kept by the replica that took it. Who answers a question of an agent, or follows its task, must reach the',
    '  same replica, which kagent’s Service does not promise where there are several.',
    '- A call that comes over A2A is traced when it brings a sampled `traceparent`; the sampling of the ingress does not see it.',
    '- kagent makes a Deployment, a Service and a Secret named as the Agent, and mounts a token of its own (audience `kagent`) in the pods.',
    ...(lost.length === 0 ? [] : ['- An Agent has no words for:', ...lost.map((word) => `  - ${word}`)]),
    ...(models.some(({ spec }) => JSON.stringify(spec).includes('-peers.'))
      ? ['- The policies let units alone reach the models of this deployment; agents that kagent runs itself need one more to use them.']
      : []),
    '- kagent’s next API (v1alpha3) takes no programs of others any more; `--format kubernetes` needs no kagent.',
    '',
  ].join('\n');
}
