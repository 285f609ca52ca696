// A process that owns a deployment on the cluster that KUBECONFIG names, for tests that kill it. Says `deploying`, then `deployed`.
import { kubernetesTarget } from '../../runtime/targets/kubernetes.ts';
import { fixturePlan, fixtureRequest, testContext } from '../runtime/targets/fixtures.ts';

const [, , folder = '', options = '{}'] = process.argv;
const target = (await kubernetesTarget.load()).create(JSON.parse(options));
const plan = fixturePlan('kubernetes', [
  { id: 'a', ingress: true, calls: ['b'], secrets: ['SECRET_OF_A'] },
  { id: 'b', replicas: 2 },
]);
process.stdout.write('deploying\n');
await target.deploy(fixtureRequest(plan, folder, { otlpEndpoints: ['http://127.0.0.1:4318'], readyTimeoutMs: 60_000 }), testContext());
process.stdout.write('deployed\n');
