import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fail } from '../../../compiler/contracts/index.ts';

const run = promisify(execFile);
/** The driver answers in well under a second once it is loaded. */
const answerTimeoutMs = 10_000;

/** GPUs that one replica has to itself, by their indexes in the order of the bus. */
export interface HeldGpus {
  readonly ids: readonly string[];
  release(): void;
}

const held = new Set<string>();

/**
 * GPUs of this machine in the order of the bus; of those that `CUDA_VISIBLE_DEVICES` leaves. Empty without a driver.
 */
export async function gpusHere(environment: { readonly [name: string]: string | undefined } = process.env): Promise<readonly string[]> {
  const query = ['--query-gpu=index', '--format=csv,noheader'];
  const printed = await run('nvidia-smi', query, { timeout: answerTimeoutMs }).then(
    ({ stdout }) => stdout,
    () => '',
  );
  const all = printed.split('\n').flatMap((line) => (/^\d+$/.test(line.trim()) ? [line.trim()] : []));
  const visible = environment.CUDA_VISIBLE_DEVICES;
  if (visible === undefined) return all;
  const left = visible.split(',').map((id) => id.trim());
  return all.filter((id) => left.includes(id));
}

/**
 * Sets GPUs aside that no other replica of any deployment of this process holds.
 * @throws DmasError DMAS_DEPLOY_FAILED when there are too few
 */
export async function holdGpus(count: number, who: string): Promise<HeldGpus> {
  if (count === 0) return { ids: [], release() {} };
  const here = await gpusHere();
  const ids = here.filter((id) => !held.has(id)).slice(0, count);
  if (ids.length < count)
    fail('DMAS_DEPLOY_FAILED', `${who} needs ${count} GPUs; this machine has ${here.length}, of which ${ids.length} are free.`, {
      fix: 'Point at a server that runs already with models.<name>.url, lower tensorParallelSize or the replicas, or set options.gpus: 0 for a build for the CPU.',
    });
  for (const id of ids) held.add(id);
  return {
    ids,
    release: () => {
      for (const id of ids) held.delete(id);
    },
  };
}

/** What a program is told of them; without the order, CUDA counts the fastest first. */
export const gpuEnvironment = (ids: readonly string[]): { [name: string]: string } =>
  ids.length === 0 ? {} : { CUDA_DEVICE_ORDER: 'PCI_BUS_ID', CUDA_VISIBLE_DEVICES: ids.join(',') };
