import type { Workflow } from '../../contracts/index.ts';
import { type Context, componentOf, contextOf } from '../kubernetes/context.ts';
import type { KubernetesInput, KubernetesObject } from '../kubernetes/input.ts';
import { objectsIn } from '../kubernetes/objects.ts';
import { agentName, agentOf, lostWords, numberedPorts, type Workload } from './agent.ts';
import { modelConfigs } from './models.ts';
import { agentPort, isAgentUnit } from './prepare.ts';
import { type McpDoor, mcpDoors, remoteMcpServers } from './tools.ts';

export interface KagentObjects {
  readonly context: Context;
  readonly agents: readonly KubernetesObject[];
  readonly models: readonly KubernetesObject[];
  readonly tools: readonly KubernetesObject[];
  /** What kagent does not make: accounts, bindings, policies, Services between units, what is no agent. */
  readonly beside: readonly KubernetesObject[];
  /** What format kubernetes says of pods and an Agent has no word for. */
  readonly lost: readonly string[];
}

/** The objects of a layout for kagent. Pure. @throws DmasError `DMAS_EXPORT` */
export function kagentObjects(input: KubernetesInput, workflow: Workflow, controllerNamespace: string): KagentObjects {
  const context = contextOf(input);
  const units = new Map(input.plan.units.filter(isAgentUnit).map((unit) => [context.nameOf(unit.id), unit]));
  const all = objectsIn(context);
  const workloads = all.filter((object): object is Workload => isWorkload(object) && units.has(object.metadata.name));
  const agents = workloads.flatMap((workload) => {
    const unit = units.get(workload.metadata.name);
    return unit === undefined ? [] : [agentOf(workload, unit, workflow)];
  });
  const doors = mcpDoors(context);
  const rest = all.filter((object) => !workloads.includes(object as Workload)).map((object) => adapted(object, workloads));
  return {
    context,
    agents,
    models: modelConfigs(context),
    tools: remoteMcpServers(context, doors, workflow),
    beside: [...rest, ...doorPolicies(context, [...units.keys()], doors, controllerNamespace)],
    lost: [...new Set(workloads.flatMap(lostWords))],
  };
}

const isWorkload = ({ kind }: KubernetesObject): boolean => kind === 'Deployment' || kind === 'StatefulSet';

/** What belongs to a unit that is an Agent now: Services say ports by number, and whoever scales it names the Agent’s Deployment. */
function adapted(object: KubernetesObject, workloads: readonly Workload[]): KubernetesObject {
  const { kind, metadata } = object;
  const spec = object.spec as Record<string, unknown> | undefined;
  if (kind === 'Service') {
    const { selector, ports = [] } = (spec ?? {}) as { selector?: object; ports?: readonly { targetPort?: unknown }[] };
    const workload = workloads.find((each) => JSON.stringify(each.spec.selector.matchLabels) === JSON.stringify(selector));
    if (workload === undefined) return object;
    const numbers = numberedPorts(workload);
    return {
      ...object,
      spec: { ...spec, ports: ports.map((port) => ({ ...port, targetPort: numbers.get(String(port.targetPort)) ?? port.targetPort })) },
    };
  }
  if (
    (kind === 'HorizontalPodAutoscaler' || kind === 'ScaledObject') &&
    workloads.some(({ metadata: { name } }) => name === metadata.name)
  ) {
    const target = spec?.scaleTargetRef as object | undefined;
    return { ...object, spec: { ...spec, scaleTargetRef: { ...target, name: agentName(metadata.name) } } };
  }
  return object;
}

/** The controller calls agents and lists tools; it comes from its own namespace, and no policy of a unit knows it. */
function doorPolicies(
  context: Context,
  agents: readonly string[],
  doors: readonly McpDoor[],
  controllerNamespace: string,
): readonly KubernetesObject[] {
  const { prefix, input } = context;
  if (input.networkPolicies === false) return [];
  const policy = (name: string, components: readonly string[], port: number): KubernetesObject => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: context.metadata(`${prefix}-allow-${name}`, 'network'),
    spec: {
      podSelector: {
        matchLabels: { 'app.kubernetes.io/instance': prefix },
        matchExpressions: [{ key: 'app.kubernetes.io/component', operator: 'In', values: components }],
      },
      policyTypes: ['Ingress'],
      ingress: [
        {
          from: [
            {
              namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': controllerNamespace } },
              podSelector: { matchLabels: { 'app.kubernetes.io/component': 'controller' } },
            },
          ],
          ports: [{ protocol: 'TCP', port }],
        },
      ],
    },
  });
  const tools = doors.flatMap(({ unit, port }) =>
    unit === null || port === null
      ? []
      : [policy(`kagent-${componentOf(context.nameOf(unit), prefix)}`, [componentOf(context.nameOf(unit), prefix)], port)],
  );
  const components = agents.map((name) => componentOf(name, prefix));
  const unique = [...new Map(tools.map((each) => [each.metadata.name, each])).values()];
  return [...(components.length === 0 ? [] : [policy('kagent', components, agentPort)]), ...unique];
}
