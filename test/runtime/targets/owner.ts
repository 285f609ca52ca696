// A process that owns a deployment, for tests that kill it. Says `deploying`, then the deployment's ingress as JSON.
import { createProcessTarget } from '../../../runtime/targets/process/create.ts';
import { addressOf, type Behaviour, bundlesOf, fixturePlan, fixtureRequest, jobCode, testContext } from './fixtures.ts';

const [, , folder = '', behaviour = '', what = 'deploy'] = process.argv;
const target = createProcessTarget({ drainMs: 1_000, queueLimit: 10 });
process.stdout.write('deploying\n');
if (what === 'job') await target.runJob({ id: 'job-1', code: jobCode, input: { what: 'hang' }, folder, timeoutMs: 60_000 }, testContext());
const plan = fixturePlan('process', [
  { id: 'a', ingress: true, calls: ['b'] },
  { id: 'b', replicas: 2, transport: 'unix' },
]);
const bundles = bundlesOf(plan, { b: behaviour as Behaviour });
const deployment = await target.deploy(fixtureRequest(plan, folder, { bundles }), testContext());
process.stdout.write(`${JSON.stringify({ url: deployment.ingressUrls[0], unix: addressOf('b', 'unix') })}\n`);
