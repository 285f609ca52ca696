import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Project } from '../../../../cli/project.ts';
import type { Plan } from '../../../../compiler/contracts/index.ts';
import { contextOf } from '../../../../compiler/emit/kubernetes/context.ts';
import type { KubernetesInput, KubernetesObject } from '../../../../compiler/emit/kubernetes/input.ts';
import { memberNames, prefixOf } from '../../../../compiler/emit/kubernetes/names.ts';
import { objectsOf, secretTemplates } from '../../../../compiler/emit/kubernetes/objects.ts';
import { withEgress } from '../../../../compiler/plan/egress.ts';
import { egressAddress } from '../../../../compiler/plan/members.ts';
import { complaints, exampleNames, factsOf, inputOf, layoutsOf, openExample } from './layouts.ts';
import { mayCall } from './network.ts';

// biome-ignore lint/suspicious/noExplicitAny: objects of many kinds, looked into field by field
type Any = any;
const find = (objects: readonly KubernetesObject[], kind: string, name: string): Any =>
  objects.find((object) => object.kind === kind && object.metadata.name === name);

describe('the objects of every example', () => {
  it.each(exampleNames)('%s: are valid, and allow exactly what the layout needs', async (name) => {
    const layouts = await layoutsOf(await openExample(name));
    expect(layouts.length).toBeGreaterThan(0);
    for (const { plan } of layouts) {
      const input = inputOf(plan, { facts: factsOf(plan), publish: { host: 'app.example' } });
      const objects = objectsOf(input);
      expect(complaints([...objects, ...secretTemplates(input)])).toEqual([]);
      expect(callsAllowed(input, objects)).toEqual(callsNeeded(input));
      // A second of the same name would replace the first.
      const ids = objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
      expect(new Set(ids).size).toBe(ids.length);
    }
  });
});

/** `caller → callee:port` of every pair of pods the policies let speak, over all ports anybody listens on, control ports included. */
function callsAllowed(input: KubernetesInput, objects: readonly KubernetesObject[]): string[] {
  const { pods } = contextOf(input);
  return pods
    .flatMap((from) =>
      pods.flatMap((to) =>
        [...new Set(to.members.flatMap(({ ports, controlPort }) => [controlPort, ...ports.map(({ port }) => port)]))]
          .filter((port) => mayCall(objects, from.selector, to.selector, port))
          .map((port) => `${from.name} → ${to.name}:${port}`),
      ),
    )
    .sort();
}

function callsNeeded(input: KubernetesInput): string[] {
  const { accessOf, pods, members, podOf } = contextOf(input);
  const calls = pods.flatMap((pod) =>
    pod.members.flatMap(({ id }) =>
      accessOf(id).reaches.flatMap(({ to, address }) => {
        const ports = members
          .filter((member) => member.id === to)
          .flatMap((member) => member.ports.filter((port) => port.address === address));
        const callee = podOf(to);
        return callee === pod && pod.replicas < 2 ? [] : ports.map(({ port }) => `${pod.name} → ${callee.name}:${port}`);
      }),
    ),
  );
  return [...new Set(calls)].sort();
}

describe('objects of one layout', () => {
  let project: Project;
  let plan: Plan;
  beforeAll(async () => {
    project = await openExample('travel-planner');
    const doubled = (await layoutsOf(project)).find(({ name }) => name === 'doubled');
    if (doubled === undefined) throw new Error('travel-planner has no layout of two replicas each');
    plan = doubled.plan;
  });

  it('run without rights: no token, no root, nothing to write to, no capability', () => {
    for (const { kind, spec } of objectsOf(inputOf(plan)) as Any[]) {
      if (kind !== 'Deployment') continue;
      const pod = spec.template.spec;
      expect(pod).toMatchObject({
        automountServiceAccountToken: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      });
      expect(pod.serviceAccountName).not.toBe('default');
      for (const { securityContext } of pod.containers)
        expect(securityContext).toEqual({ allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] }, readOnlyRootFilesystem: true });
      expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(30);
    }
  });

  it('scale by CPU from the capacity that was measured, a tenth below it', () => {
    // 44 requests per second at 20 ms each are 0.88 of one core; 0.88 / 1.1 = 0.8.
    const objects = objectsOf(inputOf(plan, { facts: factsOf(plan, 0.02) }));
    const { spec } = find(objects, 'HorizontalPodAutoscaler', 'travel-planner-research');
    expect(spec).toMatchObject({ minReplicas: 2, maxReplicas: 4 });
    expect(spec.metrics[0].resource.target.averageUtilization).toBe(80);
    expect(find(objects, 'Deployment', 'travel-planner-research').spec.replicas).toBeUndefined();
    expect(find(objects, 'HorizontalPodAutoscaler', 'travel-planner-model-main')).toBeUndefined();
  });

  it('keep their replicas where CPU says nothing of the load, or nothing was measured', () => {
    for (const facts of [factsOf(plan, 0.001), { ...factsOf(plan), capacityPerReplica: {} }]) {
      const objects = objectsOf(inputOf(plan, { facts }));
      expect(objects.filter(({ kind }) => kind === 'HorizontalPodAutoscaler')).toEqual([]);
      expect(find(objects, 'Deployment', 'travel-planner-research').spec.replicas).toBe(2);
    }
  });

  it('scale by KEDA on the rate of requests where asked', () => {
    const autoscaling = { by: 'keda', prometheus: 'http://prometheus:9090', query: 'rate({member})', maxReplicas: 9 } as const;
    const objects = objectsOf(inputOf(plan, { facts: factsOf(plan, 0.001), autoscaling }));
    expect(complaints(objects)).toEqual([]);
    const { spec } = find(objects, 'ScaledObject', 'travel-planner-weather');
    expect(spec.maxReplicaCount).toBe(9);
    expect(spec.triggers[0].metadata).toMatchObject({ query: 'rate(weather)', threshold: '40.0' });
  });

  it('let one of several replicas be moved at a time, and never hold a node for a single one', () => {
    const objects = objectsOf(inputOf(plan));
    expect(find(objects, 'PodDisruptionBudget', 'travel-planner-research').spec.maxUnavailable).toBe(1);
    expect(find(objects, 'PodDisruptionBudget', 'travel-planner-gateway')).toBeUndefined();
  });

  it('put members into one pod: own ports, one policy, calls that stay inside', () => {
    const objects = objectsOf(inputOf(plan, { placement: { pods: [['research', 'guide-tools']] } }));
    expect(complaints(objects)).toEqual([]);
    const { containers } = find(objects, 'Deployment', 'travel-planner-research').spec.template.spec;
    expect(containers.map(({ name }: Any) => name)).toEqual(['research', 'guide-tools']);
    expect(find(objects, 'Deployment', 'travel-planner-guide-tools')).toBeUndefined();
    const binding = objects.find(
      ({ kind, metadata }) => kind === 'ConfigMap' && metadata.name.startsWith('travel-planner-research'),
    ) as Any;
    const { names } = JSON.parse(binding.data['binding.json']);
    expect(names['unit://guide-tools/http-json']).toEqual({ host: '127.0.0.1', port: 7101 });
    expect(callsAllowed(inputOf(plan), objects)).not.toContain('travel-planner-weather → travel-planner-research:7101');
  });

  it('refuse to share a pod with another number of replicas, or with nobody', () => {
    expect(() => objectsOf(inputOf(plan, { placement: { pods: [['gateway', 'research']] } }))).toThrow(/different numbers of replicas/);
    expect(() => objectsOf(inputOf(plan, { placement: { nodes: [['reserch', 'research']] } }))).toThrow(/"reserch".*no such unit/);
  });

  it('keep members on one node by a label they find themselves by', () => {
    const objects = objectsOf(inputOf(plan, { placement: { nodes: [['research', 'weather']] } }));
    const pods = ['research', 'weather'].map((id) => find(objects, 'Deployment', `travel-planner-${id}`).spec.template);
    for (const { metadata, spec } of pods) {
      const [term] = spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution;
      for (const pod of pods) expect(pod.metadata.labels).toMatchObject(term.labelSelector.matchLabels);
      expect(metadata.labels['dmas-opt/node-group']).toBeTruthy();
    }
    expect(complaints(objects)).toEqual([]);
  });

  it('accept what a house demands: labels, annotations, registries, an account, a mesh, a profile', () => {
    const objects = objectsOf(
      inputOf(plan, {
        namespace: 'shop',
        labels: { team: 'search' },
        annotations: { owner: 'x' },
        podAnnotations: { scrape: 'no' },
        pullSecrets: ['registry'],
        serviceAccount: 'shared',
        mesh: 'istio',
        appArmor: true,
        selectorLabels: { track: 'b' },
      }),
    );
    expect(complaints(objects)).toEqual([]);
    expect(objects.filter(({ kind }) => kind === 'ServiceAccount')).toEqual([]);
    for (const { metadata } of objects)
      expect(metadata).toMatchObject({ namespace: 'shop', labels: { team: 'search' }, annotations: { owner: 'x' } });
    const { spec } = find(objects, 'Deployment', 'travel-planner-research') as Any;
    expect(spec.selector.matchLabels.track).toBe('b');
    expect(spec.template.metadata.annotations).toMatchObject({ scrape: 'no', 'sidecar.istio.io/inject': 'true' });
    expect(spec.template.spec).toMatchObject({ serviceAccountName: 'shared', imagePullSecrets: [{ name: 'registry' }] });
    expect(spec.template.spec.securityContext.appArmorProfile).toEqual({ type: 'RuntimeDefault' });
  });

  it('give a session’s replicas names that stay', () => {
    const sticky: Plan = {
      ...plan,
      units: plan.units.map((unit) => ({
        ...unit,
        routes: unit.routes.map((route) => (route.to === 'weather' ? { ...route, balancing: 'session' } : route)),
      })),
    };
    const objects = objectsOf(inputOf(sticky, { facts: factsOf(sticky) }));
    expect(complaints(objects)).toEqual([]);
    expect(find(objects, 'StatefulSet', 'travel-planner-weather').spec).toMatchObject({
      serviceName: 'travel-planner-weather-peers',
      replicas: 2,
    });
    expect(find(objects, 'HorizontalPodAutoscaler', 'travel-planner-weather')).toBeUndefined();
  });

  it('publish names before readiness only where somebody would wait for itself', () => {
    const unready = (given: Plan) =>
      objectsOf(inputOf(given)).flatMap(({ kind, metadata, spec }: Any) =>
        kind === 'Service' && spec.publishNotReadyAddresses ? [metadata.name] : [],
      );
    expect(unready(plan)).toEqual([]);
    const [route] = plan.units.find(({ id }) => id === 'travel')?.routes.filter(({ to }) => to === 'weather') ?? [];
    if (route === undefined) throw new Error('travel calls weather no more');
    const address = plan.units.find(({ id }) => id === 'weather')?.listens[0]?.address ?? '';
    // weather-tools → weather → weather-tools
    const circle: Plan = {
      ...plan,
      units: plan.units.map((unit) => (unit.id === 'weather-tools' ? { ...unit, routes: [{ ...route, address }] } : unit)),
    };
    expect(unready(circle).sort()).toEqual(['travel-planner-weather-peers', 'travel-planner-weather-tools-peers']);
  });

  it('name secrets, whose values are nowhere', () => {
    const secretive: Plan = {
      ...plan,
      units: plan.units.map((unit) => (unit.id === 'weather' ? { ...unit, secrets: ['WEATHER_KEY'] } : unit)),
    };
    const input = inputOf(secretive);
    const weather = find(objectsOf(input), 'Deployment', 'travel-planner-weather').spec.template.spec.containers[0];
    expect(weather.env).toContainEqual({
      name: 'WEATHER_KEY',
      valueFrom: { secretKeyRef: { name: 'travel-planner-weather-secrets', key: 'WEATHER_KEY' } },
    });
    expect(JSON.stringify(objectsOf(input)).match(/WEATHER_KEY/g)).toHaveLength(2);
    expect(objectsOf(input).filter(({ kind }) => kind === 'Secret')).toEqual([]);
    expect(secretTemplates(input)).toMatchObject([
      { metadata: { name: 'travel-planner-weather-secrets' }, stringData: { WEATHER_KEY: '' } },
    ]);
  });

  it('reach hosts outside through an egress service where there is one, else by address ranges with a remark', () => {
    const host = { host: 'api.example.com', port: 443, for: ['weather'] };
    const open: Plan = { ...plan, units: plan.units.map((unit) => (unit.id === 'weather' ? { ...unit, hosts: [host] } : unit)) };
    const policy = find(objectsOf(inputOf(open)), 'NetworkPolicy', 'travel-planner-weather');
    expect(policy.metadata.annotations['dmas-opt/outside-hosts']).toBe('api.example.com:443');
    expect(JSON.stringify(policy.spec.egress)).toContain('0.0.0.0/0');
    const objects = objectsOf(inputOf(withEgress(open, ['10.1.0.0/16'])));
    expect(complaints(objects)).toEqual([]);
    const leaving = objects.filter((object) => object.kind === 'NetworkPolicy' && JSON.stringify(object).includes('0.0.0.0/0'));
    expect(leaving.map(({ metadata }) => metadata.name)).toEqual(['travel-planner-egress']);
    // Names may stand for addresses of these networks alone; the service judges each.
    expect(JSON.stringify(leaving)).toContain('"cidr":"10.1.0.0/16"');
  });

  it('let each caller connect to its own listener of the egress service, whoever else has one', () => {
    const calling = (...ids: string[]): Plan =>
      withEgress(
        {
          ...plan,
          units: plan.units.map((unit) =>
            ids.includes(unit.id) ? { ...unit, hosts: [{ host: `${unit.id}.example`, port: 443, for: [unit.id] }] } : unit,
          ),
        },
        [],
      );
    const input = inputOf(calling('weather', 'travel'));
    const objects = objectsOf(input);
    const { podOf, members } = contextOf(input);
    const portFor = (given: Plan, caller: string) =>
      contextOf(inputOf(given))
        .members.find(({ id }) => id === 'egress')
        ?.ports.find(({ address }) => address === egressAddress(caller))?.port ?? 0;
    const opened = (id: string) =>
      ['weather', 'travel'].filter((caller) =>
        mayCall(objects, podOf(id).selector, podOf('egress').selector, portFor(calling('weather', 'travel'), caller)),
      );
    expect(members.map(({ id }) => [id, opened(id)])).toEqual(
      members.map(({ id }) => [id, ['weather', 'travel'].includes(id) ? [id] : []]),
    );
    // Its port stays a caller's own when others come.
    expect(portFor(calling('weather'), 'weather')).toBe(portFor(calling('weather', 'travel'), 'weather'));
    expect(portFor(calling('travel'), 'travel')).toBe(portFor(calling('weather', 'travel'), 'travel'));
  });

  it('reach Services of the cluster by namespace and port, without an address of the world', () => {
    const host = { host: 'vllm.models.svc.cluster.local', port: 8000, for: ['weather'] };
    const inside = withEgress(
      { ...plan, units: plan.units.map((unit) => (unit.id === 'weather' ? { ...unit, hosts: [host] } : unit)) },
      [],
    );
    const { spec, metadata } = find(objectsOf(inputOf(inside)), 'NetworkPolicy', 'travel-planner-egress');
    expect(spec.egress).toContainEqual({
      to: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'models' } } }],
      ports: [{ protocol: 'TCP', port: 8000 }],
    });
    expect(JSON.stringify(spec)).not.toContain('0.0.0.0/0');
    expect(metadata.annotations).toBeUndefined();
  });

  it('tell a program of others its proxy, behind one address that stays', () => {
    const host = { host: 'api.example.com', port: 443, for: ['weather'] };
    const program = {
      image: 'them/weather:1',
      folder: '.',
      environment: {},
      portVariable: 'PORT',
      path: '/',
      neighbours: {},
      models: {},
      instrumented: false,
    };
    const foreign: Plan = withEgress(
      { ...plan, units: plan.units.map((unit) => (unit.id === 'weather' ? { ...unit, hosts: [host], program } : unit)) },
      [],
    );
    const objects = objectsOf(inputOf(foreign));
    expect(complaints(objects)).toEqual([]);
    const { env } = find(objects, 'Deployment', 'travel-planner-weather').spec.template.spec.containers[0];
    const service = find(objects, 'Service', 'travel-planner-egress');
    const [{ port }] = service.spec.ports;
    expect(env).toContainEqual({ name: 'HTTPS_PROXY', value: `http://travel-planner-egress:${port}` });
    expect(service.spec.clusterIP).toBeUndefined();
  });

  it('start a model server of others with its GPUs, its memory and a volume for its weights', () => {
    const program = {
      image: 'vllm/vllm-openai:v0.10.0',
      command: ['vllm', 'serve', 'Qwen/Qwen3-8B'],
      folder: '.',
      environment: { HF_HOME: '/weights', NOTE: 'costs $(5)' },
      portVariable: 'PORT',
      fixedPort: 8000,
      path: '/',
      neighbours: {},
      models: {},
      ready: { path: '/health' },
      instrumented: false,
      gpus: 2,
      mount: { folder: '/home/me/weights', at: '/weights' },
      sharedMemoryMb: 8192,
      readyTimeoutMs: 900_000,
    };
    const served: Plan = {
      ...plan,
      services: plan.services.map((service) =>
        service.kind === 'model'
          ? { ...service, replicas: 2, resources: { vcpu: 0, memoryMb: 0 }, secrets: ['HF_TOKEN'], program }
          : service,
      ),
    };
    const objects = objectsOf(
      inputOf(served, { gpus: { nodeSelector: { pool: 'gpu' } }, cacheVolume: { sizeGi: 40, storageClass: 'fast' } }),
    );
    expect(complaints(objects)).toEqual([]);
    const pod = find(objects, 'Deployment', 'travel-planner-model-main').spec.template.spec;
    expect(pod.nodeSelector).toEqual({ pool: 'gpu' });
    expect(pod.tolerations[0].key).toBe('nvidia.com/gpu');
    const [container] = pod.containers;
    expect(container.resources).toEqual({ requests: { 'nvidia.com/gpu': '2' }, limits: { 'nvidia.com/gpu': '2' } });
    expect(container.startupProbe).toMatchObject({ httpGet: { path: '/health', port: 8000 }, failureThreshold: 900 });
    expect(container.env).toContainEqual({ name: 'NOTE', value: 'costs $$(5)' });
    expect(container.volumeMounts.map(({ mountPath }: Any) => mountPath)).toEqual(['/weights', '/dev/shm']);
    const claim = find(objects, 'PersistentVolumeClaim', 'travel-planner-model-main-cache');
    expect(claim.spec).toMatchObject({
      accessModes: ['ReadWriteMany'],
      storageClassName: 'fast',
      resources: { requests: { storage: '40Gi' } },
    });
  });
});

describe('names', () => {
  it('are different for different members, and valid for Services and StatefulSets', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 80 }),
        fc.uniqueArray(fc.string({ minLength: 1, maxLength: 60 }), { minLength: 1, maxLength: 8 }),
        (application, ids) => {
          const prefix = prefixOf(application);
          const names = [...memberNames(prefix, ids).values()];
          expect(new Set(names).size).toBe(ids.length);
          for (const name of names) {
            expect(name).toMatch(/^[a-z]([-a-z0-9]*[a-z0-9])?$/);
            expect(`${name}`.length).toBeLessThanOrEqual(48);
          }
        },
      ),
    );
  });
});
