/**
 * Requests lost over redeployments of a live system: `npm run bench:redeploy -- [scenario.yaml] [--updates=100] [--rate=20]
 * [--target=process] [--seed=1]`. The last line is one JSON object. With `--target=kubernetes` on the cluster of `KUBECONFIG`, or on a
 * stand-in with pods as processes of this machine where it is not set.
 */
import { aroundCluster } from '../stand-ins/kubernetes/around.ts';
import { redeployUnderLoad } from './lib/redeploy.ts';

const value = (name: string, otherwise: string) =>
  process.argv.find((argument) => argument.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise;
const [scenarioFile = 'scenarios/document-pipeline/scenario.yaml'] = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));

const target = value('target', 'process');
const around = <T>(work: () => Promise<T>) => (target === 'kubernetes' ? aroundCluster(work) : work());
const result = await around(() =>
  redeployUnderLoad({
    scenarioFile,
    target,
    updates: Number(value('updates', '100')),
    perSecond: Number(value('rate', '20')),
    seed: Number(value('seed', '1')),
    told: (line) => process.stderr.write(`${line}\n`),
  }),
);
process.stdout.write(`${JSON.stringify({ redeploy: { scenario: scenarioFile, ...result } })}\n`);
