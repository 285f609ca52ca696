import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { bindingVariable, type ProcessBinding, type StartedReport, startedPrefix } from '../compiler/contracts/binding.ts';
import { instanceAt } from './names.ts';

/** A deployed process, once everything listens. */
export interface StartedProcess {
  readonly report: StartedReport;
  /** Drains, then closes everything. */
  close(): Promise<void>;
}

/** Where the process is and where its peers are, from the file the target names. */
export function readBinding(): ProcessBinding {
  const file = process.env[bindingVariable];
  if (file === undefined) throw new Error(`${bindingVariable} names no file: this process is started by a deployment target`);
  const binding = JSON.parse(readFileSync(file, 'utf8')) as ProcessBinding;
  const traced = binding.otlpEndpoints.length === 0 ? tracedAsTold(binding) : binding;
  if (binding.instanceId !== '') return traced;
  // One binding for all replicas: who it is, each one says itself.
  return { ...traced, instanceId: instanceAt(hostname(), randomBytes(3).toString('hex'), addressesOf(binding)) };
}

/** Where nobody said so when the binding was written, the environment says where spans go; those that go nowhere are not made. */
function tracedAsTold(binding: ProcessBinding): ProcessBinding {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_TRACES_SAMPLER_ARG: ratio } = process.env;
  if (endpoint === undefined || endpoint === '') return { ...binding, samplingRatio: 0 };
  return { ...binding, otlpEndpoints: [endpoint], samplingRatio: share(ratio) ?? binding.samplingRatio };
}

const share = (text: string | undefined): number | undefined =>
  text !== undefined && text !== '' && Number(text) >= 0 && Number(text) <= 1 ? Number(text) : undefined;

/** Addresses under which others find this process. */
function addressesOf({ listen }: ProcessBinding): readonly string[] {
  const hosts = Object.values(listen).flatMap((at) => ('path' in at ? [] : [at.host]));
  const given = hosts.filter((host) => host !== '0.0.0.0' && host !== '::');
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const own = hosts.length > given.length ? all.filter(({ internal }) => !internal).map(({ address }) => address) : [];
  return [...new Set([...given, ...own])].sort();
}

/** Beyond the drain time, how long a closing process is waited for before it is ended anyway. */
const graceMs = 2_000;

/**
 * Ties the life of the process to what it serves: tells the target where it listens, drains on SIGTERM and SIGINT, and,
 * with `DMAS_EXIT_WITH_STDIN=1`, when standard input ends because the parent is gone.
 */
export function live(started: StartedProcess, drainMs: number): void {
  let ending = false;
  const end = () => {
    if (ending) return;
    ending = true;
    // The event loop may be held open by a client that never goes away; the process must end all the same.
    setTimeout(() => process.exit(0), drainMs + graceMs).unref();
    started.close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  if (process.env.DMAS_EXIT_WITH_STDIN === '1') {
    process.stdin.on('end', end);
    process.stdin.on('error', end);
    process.stdin.resume();
  }
  process.stdout.write(`${startedPrefix}${JSON.stringify(started.report)}\n`);
}
