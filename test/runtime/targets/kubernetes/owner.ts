// A process that owns a deployment on a cluster, for tests that kill it. Says `deploying`, then `deployed`.
import { kubernetesTarget } from '../../../../runtime/targets/kubernetes.ts';
import { fixturePlan, fixtureRequest, testContext } from '../fixtures.ts';

const [, , folder = '', kubeconfig = ''] = process.argv;
const target = (await kubernetesTarget.load()).create({ kubeconfig, drainMs: 100 });
const plan = fixturePlan('kubernetes', [
  { id: 'a', ingress: true, calls: ['b'], secrets: ['SECRET_OF_A'] },
  { id: 'b', replicas: 2 },
]);
process.stdout.write('deploying\n');
await target.deploy(fixtureRequest(plan, folder, { otlpEndpoints: ['http://127.0.0.1:4318'] }), testContext());
process.stdout.write('deployed\n');
