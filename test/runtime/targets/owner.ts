// A process that owns a deployment, for tests that kill it. Says `deploying`, then the deployment's ingress as JSON.
import { dockerTarget } from '../../../runtime/targets/docker.ts';
import { processTarget } from '../../../runtime/targets/process.ts';
import { addressOf, type Behaviour, bundlesOf, fixturePlan, fixtureRequest, jobCode, testContext } from './fixtures.ts';

const [, , folder = '', behaviour = '', what = 'process'] = process.argv;
const target = (await (what === 'docker' ? dockerTarget : processTarget).load()).create({ drainMs: 1_000 });
const transport = what === 'docker' ? 'tcp' : 'unix';
process.stdout.write('deploying\n');
if (what === 'job') await target.runJob({ id: 'job-1', code: jobCode, input: { what: 'hang' }, folder, timeoutMs: 60_000 }, testContext());
const plan = fixturePlan(what, [
  { id: 'a', ingress: true, calls: ['b'] },
  { id: 'b', replicas: 2, transport },
]);
const bundles = bundlesOf(plan, { b: behaviour as Behaviour });
const request = fixtureRequest(plan, folder, { bundles });
const deployment = await target.deploy(request, testContext());
process.stdout.write(
  `${JSON.stringify({ url: deployment.ingressUrls[0], b: addressOf('b', transport), deploymentId: request.deploymentId })}\n`,
);
