import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { answer } from './api/answer.ts';
import { applyDefaults } from './api/defaults.ts';
import type { Fault } from './api/faults.ts';
import { everything, type Right } from './api/rights.ts';
import type { KubernetesVersion } from './api/schema.ts';
import { serveUpgrade } from './api/upgrade.ts';
import { builtInKind, createWorld, newObject, type World } from './api/world.ts';
import { selfSigned } from './certificate.ts';
import { deployments } from './controllers/deployments.ts';
import { endpoints } from './controllers/endpoints.ts';
import { garbage } from './controllers/garbage.ts';
import { jobs } from './controllers/jobs.ts';
import { ControllerLoop } from './controllers/loop.ts';
import { replicaSets } from './controllers/replicas.ts';
import { scheduler } from './controllers/scheduler.ts';
import { statefulSets } from './controllers/stateful-sets.ts';
import { statuses } from './controllers/statuses.ts';
import { Balancer } from './kubelet/balancer.ts';
import { Kubelet } from './kubelet/kubelet.ts';
import { startNameServer } from './kubelet/names.ts';
import { pretendEngine } from './kubelet/pretend.ts';
import { processEngine } from './kubelet/processes.ts';
import type { Store } from './state/store.ts';

export interface StandInOptions {
  readonly version?: KubernetesVersion;
  readonly port?: number;
  /**
   * What pods do: `pretend` (the default) says they run; `process` runs their containers as processes here, each pod on a
   * loopback address of its own, found by the names of services.
   */
  readonly run?: 'pretend' | 'process';
  /** Images of mode `process`: name → folder that holds what a container sees as `/`; `*` stands for every name. */
  readonly images?: { readonly [image: string]: string };
  /** Milliseconds until a pretended container is ready. */
  readonly readyMs?: number;
  /** Milliseconds a pretended job runs. */
  readonly jobMs?: number;
  /** First wait after a container crashed. */
  readonly backoffMs?: number;
  readonly nodes?: readonly StandInNode[];
  /** Namespaces that are there beside `default`. */
  readonly namespaces?: readonly string[];
}

export interface StandInNode {
  readonly name: string;
  readonly labels?: { readonly [key: string]: string };
  readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  readonly allocatable?: { readonly [resource: string]: string };
}

/** A Kubernetes API server for tests that runs. */
export interface KubernetesStandIn {
  readonly url: string;
  readonly version: KubernetesVersion;
  /** Certificate by which clients know the server, PEM. */
  readonly ca: string;
  readonly store: Store;
  readonly world: World;
  /** A kubeconfig for somebody who may do everything, or for a token. */
  kubeconfig(options?: { readonly token?: string; readonly namespace?: string }): string;
  /** A token that may do what is said, and nothing else. */
  addUser(name: string, rights: readonly Right[]): string;
  /** Makes something go wrong until the answer is called. */
  fault(fault: Fault): () => void;
  /** Makes an image known: a folder that holds what a container sees as `/`. */
  addImage(image: string, folder: string): void;
  clearFaults(): void;
  dropWatches(): void;
  /** Forgets old changes, so that watches from before get 410. */
  compact(): void;
  /** Stops listening for a while and listens again on the same port; objects stay. */
  restart(downMs?: number): Promise<void>;
  close(): Promise<void>;
}

const adminToken = 'stand-in-admin';
const defaultNode: StandInNode = { name: 'stand-in-1' };

/** Starts a stand-in on loopback. */
export async function startKubernetesStandIn(options: StandInOptions = {}): Promise<KubernetesStandIn> {
  const world = createWorld(options.version ?? '1.34');
  world.users.set(adminToken, { name: 'admin', groups: ['system:masters', 'system:authenticated'], rights: [everything] });
  furnish(world, options);
  for (const [image, folder] of Object.entries(options.images ?? {})) world.images.set(image, folder);
  const names = options.run === 'process' ? await startNameServer(world) : null;
  const engine = names ? processEngine(world, names.address) : pretendEngine({ jobMs: options.jobMs ?? 100 });
  const balancer = new Balancer();
  const kubelet = new Kubelet(world, engine, {
    readyMs: names ? 0 : (options.readyMs ?? 50),
    pullMs: 0,
    backoffMs: options.backoffMs ?? 1_000,
    calmMs: 10_000,
    hostIp: '127.0.0.1',
  });
  const controllers = [deployments, replicaSets, statefulSets, jobs, scheduler, kubelet.look, endpoints, statuses, garbage];
  const loop = new ControllerLoop(world, names ? [...controllers, balancer.look] : controllers, 500);
  const certificate = selfSigned();
  let listening = await listen(world, kubelet, certificate, options.port ?? 0);
  const { port } = listening.address;
  const url = `https://127.0.0.1:${port}`;
  let users = 0;
  return {
    url,
    version: world.version,
    ca: certificate.cert,
    store: world.store,
    world,
    kubeconfig: ({ token = adminToken, namespace = 'default' } = {}) => kubeconfig(url, certificate.cert, token, namespace),
    addUser: (name, rights) => {
      const token = `stand-in-token-${++users}`;
      world.users.set(token, { name, groups: ['system:authenticated'], rights });
      return token;
    },
    fault: (fault) => world.faults.add(fault),
    addImage: (image, folder) => {
      world.images.set(image, folder);
      world.wake();
    },
    clearFaults: () => world.faults.clear(),
    dropWatches: () => world.dropWatches(),
    compact: () => world.store.compact(),
    restart: async (downMs = 100) => {
      await listening.close();
      await new Promise((resolve) => setTimeout(resolve, downMs));
      listening = await listen(world, kubelet, certificate, port);
    },
    close: async () => {
      loop.close();
      await listening.close();
      await kubelet.close();
      await balancer.close();
      await names?.close();
    },
  };
}

interface Listening {
  readonly address: AddressInfo;
  close(): Promise<void>;
}

async function listen(world: World, kubelet: Kubelet, certificate: { key: string; cert: string }, port: number): Promise<Listening> {
  const open = new Set<import('node:http').ServerResponse>();
  const server: Server = createServer(certificate, (request, response) => void answer(world, kubelet, open, request, response));
  const tunnels = new Set<import('node:stream').Duplex>();
  server.on('upgrade', (request, socket, head) => {
    tunnels.add(socket);
    socket.once('close', () => tunnels.delete(socket));
    void serveUpgrade(world, request, socket, head);
  });
  world.dropWatches = () => {
    for (const response of open) response.destroy();
  };
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    address: server.address() as AddressInfo,
    close: () =>
      new Promise((resolve) => {
        for (const tunnel of tunnels) tunnel.destroy();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function furnish(world: World, options: StandInOptions): void {
  for (const name of ['default', 'kube-system', ...(options.namespaces ?? [])]) {
    const namespace = newObject(builtInKind('Namespace'), { name }, {});
    applyDefaults(namespace);
    world.store.create(builtInKind('Namespace'), namespace);
  }
  for (const node of options.nodes ?? [defaultNode]) {
    const allocatable = { cpu: '64', memory: '256Gi', pods: '200', 'ephemeral-storage': '100Gi', ...node.allocatable };
    const made = newObject(
      builtInKind('Node'),
      {
        name: node.name,
        labels: { 'kubernetes.io/hostname': node.name, 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': 'amd64', ...node.labels },
      },
      {
        spec: node.taints ? { taints: node.taints } : {},
        status: {
          capacity: allocatable,
          allocatable,
          addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
          conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' }],
          nodeInfo: {
            kubeletVersion: `v${world.version}.0`,
            containerRuntimeVersion: 'stand-in://1',
            osImage: 'stand-in',
            operatingSystem: 'linux',
            architecture: 'amd64',
            kernelVersion: '0',
            machineID: '',
            systemUUID: '',
            bootID: '',
            kubeProxyVersion: '',
          },
        },
      },
    );
    world.store.create(builtInKind('Node'), made);
  }
}

function kubeconfig(url: string, ca: string, token: string, namespace: string): string {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'stand-in', cluster: { server: url, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name: 'user', user: { token } }],
    contexts: [{ name: 'stand-in', context: { cluster: 'stand-in', user: 'user', namespace } }],
    'current-context': 'stand-in',
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
