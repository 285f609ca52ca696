import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { startKubernetesStandIn } from './server.ts';

const { values } = parseArgs({
  options: {
    version: { type: 'string', default: '1.34' },
    port: { type: 'string', default: '0' },
    kubeconfig: { type: 'string' },
    namespace: { type: 'string', default: 'default' },
    run: { type: 'string', default: 'pretend' },
    image: { type: 'string', multiple: true, default: [] },
  },
});
if (values.run !== 'pretend' && values.run !== 'process') throw new Error('--run is pretend or process');
if (values.version !== '1.32' && values.version !== '1.34') throw new Error('--version is 1.32 or 1.34');
const server = await startKubernetesStandIn({
  version: values.version,
  port: Number(values.port),
  namespaces: values.namespace === 'default' ? [] : [values.namespace],
  run: values.run,
  // `name=folder`, where the folder holds what a container sees as `/`; a name alone is an image with nothing of its own.
  images: Object.fromEntries(values.image.map((image) => [image.split('=')[0], image.split('=')[1] ?? ''])),
});
if (values.kubeconfig !== undefined) writeFileSync(values.kubeconfig, server.kubeconfig({ namespace: values.namespace }), { mode: 0o600 });
process.stdout.write(`${JSON.stringify({ url: server.url, kubeconfig: values.kubeconfig ?? null })}\n`);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void server.close().then(() => process.exit(0)));
