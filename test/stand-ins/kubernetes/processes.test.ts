import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { AppsV1Api, BatchV1Api, CoreV1Api, KubeConfig, PortForward } from '@kubernetes/client-node';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type KubernetesStandIn, startKubernetesStandIn } from './server.ts';
import { until } from './until.ts';

/** Answers with its host name and a file; asks another service under `/ask`. */
const program = `
import { readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import os from 'node:os';
const greeting = readFileSync('/etc/greeting/text', 'utf8');
console.log('listening', process.env.SECRET);
http.createServer(async (request, response) => {
  if (request.url === '/ready') return void response.end('ok');
  if (request.url === '/exit') process.exit(3);
  if (request.url.startsWith('/ask/')) {
    const asked = http.get({ host: request.url.slice(5), port: 7001, path: '/', agent: false }, (from) => from.pipe(response));
    asked.on('error', (error) => response.writeHead(502).end(error.message));
    return;
  }
  writeFileSync('/scratch/last', request.url);
  response.end(JSON.stringify({ host: os.hostname(), greeting, secret: process.env.SECRET, last: await readFile('/scratch/last', 'utf8') }));
}).listen(7001, '0.0.0.0');
process.on('SIGTERM', () => process.exit(0));
`;

let server: KubernetesStandIn;
let image: string;
let config: KubeConfig;

beforeAll(async () => {
  image = mkdtempSync(path.join(os.tmpdir(), 'image-'));
  mkdirSync(path.join(image, 'app'));
  writeFileSync(path.join(image, 'app', 'unit.mjs'), program);
  writeFileSync(
    path.join(image, 'app', 'job.mjs'),
    "console.log('result', process.argv[2]); process.exit(process.argv[2] === 'good' ? 0 : 1);",
  );
  server = await startKubernetesStandIn({ run: 'process', images: { 'units:1': image }, namespaces: ['team'], backoffMs: 100 });
  config = new KubeConfig();
  config.loadFromString(server.kubeconfig({ namespace: 'team' }));
  const core = config.makeApiClient(CoreV1Api);
  await core.createNamespacedConfigMap({ namespace: 'team', body: { metadata: { name: 'greeting' }, data: { text: 'hello' } } });
  await core.createNamespacedSecret({ namespace: 'team', body: { metadata: { name: 'key' }, stringData: { value: 'hidden' } } });
});
afterAll(async () => {
  await server?.close();
  rmSync(image, { recursive: true });
});

async function deploy(name: string, replicas: number): Promise<void> {
  const labels = { app: name };
  await config.makeApiClient(AppsV1Api).createNamespacedDeployment({
    namespace: 'team',
    body: {
      metadata: { name },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            containers: [
              {
                name: 'main',
                image: 'units:1',
                command: ['node', '/app/unit.mjs'],
                env: [{ name: 'SECRET', valueFrom: { secretKeyRef: { name: 'key', key: 'value' } } }],
                ports: [{ name: 'http', containerPort: 7001 }],
                readinessProbe: { httpGet: { path: '/ready', port: 'http' } },
                volumeMounts: [
                  { name: 'greeting', mountPath: '/etc/greeting' },
                  { name: 'scratch', mountPath: '/scratch' },
                ],
              },
            ],
            volumes: [
              { name: 'greeting', configMap: { name: 'greeting' } },
              { name: 'scratch', emptyDir: {} },
            ],
          },
        },
      },
    },
  });
  const core = config.makeApiClient(CoreV1Api);
  const ports = [{ port: 7001, targetPort: 'http' }];
  await core.createNamespacedService({
    namespace: 'team',
    body: { metadata: { name }, spec: { clusterIP: 'None', selector: labels, ports } },
  });
  await core.createNamespacedService({
    namespace: 'team',
    body: { metadata: { name: `${name}-even` }, spec: { selector: labels, ports } },
  });
  await until(async () => {
    const found = await config.makeApiClient(AppsV1Api).readNamespacedDeployment({ name, namespace: 'team' });
    return found.status?.availableReplicas === replicas;
  });
}

async function podsOf(name: string) {
  return (await config.makeApiClient(CoreV1Api).listNamespacedPod({ namespace: 'team', labelSelector: `app=${name}` })).items;
}

function get(host: string, port: number, url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host, port, path: url, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on('end', () => resolve(text));
    });
    request.on('error', reject);
  });
}

it('runs the containers of pods, each on an address of its own, with files and variables from the cluster', async () => {
  await deploy('first', 2);
  const pods = await podsOf('first');
  const answers = await Promise.all(
    pods.map(async (pod) => JSON.parse(await get(pod.status?.podIP ?? '', 7001, '/x')) as { host: string }),
  );
  expect(answers.map(({ host }) => host).sort()).toEqual(pods.map((pod) => pod.metadata?.name).sort());
  expect(answers[0]).toMatchObject({ greeting: 'hello', secret: 'hidden', last: '/x' });
  const log = await config.makeApiClient(CoreV1Api).readNamespacedPodLog({ name: pods[0]?.metadata?.name ?? '', namespace: 'team' });
  expect(log).toBe('listening hidden\n');
});

it('finds services by their names, headless and balanced', async () => {
  await deploy('second', 1);
  const [pod] = await podsOf('second');
  const ask = async (name: string) => get(pod?.status?.podIP ?? '', 7001, `/ask/${name}`);
  for (const name of ['first', 'first.team', 'first.team.svc', 'first.team.svc.cluster.local', 'first-even']) {
    expect(JSON.parse(await ask(name)), name).toMatchObject({ greeting: 'hello' });
  }
  const hosts = new Set<string>();
  for (let turn = 0; turn < 4; turn += 1) hosts.add((JSON.parse(await ask('first-even')) as { host: string }).host);
  expect(hosts.size).toBe(2);
  expect(await ask('nobody')).toContain('ENOTFOUND');
});

it('forwards a port to a pod', async () => {
  const [pod] = await podsOf('first');
  const tunnel = createServer((socket) => {
    void new PortForward(config).portForward('team', pod?.metadata?.name ?? '', [7001], socket, null, socket);
  });
  await new Promise<void>((resolve) => tunnel.listen(0, '127.0.0.1', resolve));
  const answer = await get('127.0.0.1', (tunnel.address() as AddressInfo).port, '/through');
  expect(JSON.parse(answer)).toMatchObject({ host: pod?.metadata?.name, last: '/through' });
  tunnel.close();
});

it('starts a container that ended again, and takes its pod out of the service until it is ready', async () => {
  const [pod] = await podsOf('second');
  await get(pod?.status?.podIP ?? '', 7001, '/exit').catch(() => {});
  await until(async () => {
    const [again] = await podsOf('second');
    const [status] = again?.status?.containerStatuses ?? [];
    return status?.restartCount === 1 && status.ready && status.lastState?.terminated?.exitCode === 3;
  });
});

it('runs jobs to their end, well or badly', async () => {
  const jobs = config.makeApiClient(BatchV1Api);
  for (const word of ['good', 'bad']) {
    const container = { name: 'main', image: 'units:1', command: ['node', '/app/job.mjs', word] };
    const spec = { backoffLimit: 1, template: { spec: { restartPolicy: 'Never', containers: [container] } } };
    await jobs.createNamespacedJob({ namespace: 'team', body: { metadata: { name: word }, spec } });
  }
  const ended = async (name: string) => (await jobs.readNamespacedJob({ name, namespace: 'team' })).status;
  await until(async () => (await ended('good'))?.succeeded === 1);
  await until(async () => (await ended('bad'))?.conditions?.some(({ type, status }) => type === 'Failed' && status === 'True') === true);
  expect((await ended('bad'))?.failed).toBe(2);
  const [pod] = (await config.makeApiClient(CoreV1Api).listNamespacedPod({ namespace: 'team', labelSelector: 'job-name=good' })).items;
  expect(await config.makeApiClient(CoreV1Api).readNamespacedPodLog({ name: pod?.metadata?.name ?? '', namespace: 'team' })).toBe(
    'result good\n',
  );
});

it('ends the processes of what is deleted', async () => {
  const [pod] = await podsOf('first');
  await config.makeApiClient(AppsV1Api).deleteNamespacedDeployment({ name: 'first', namespace: 'team' });
  await until(async () => (await podsOf('first')).length === 0);
  await expect(get(pod?.status?.podIP ?? '', 7001, '/')).rejects.toThrow('ECONNREFUSED');
});
