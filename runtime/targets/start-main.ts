/**
 * The program `best/start.mjs` is bundled from: starts a stored plan as processes, from the files beside it and
 * nothing else, and keeps it up until Ctrl-C.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bundle, Plan } from '../../compiler/contracts/index.ts';
import { createProcessTarget } from './process/create.ts';

const here = import.meta.dirname;
const plan = JSON.parse(readFileSync(join(here, 'plan.json'), 'utf8')) as Plan;
// Programs of others have no bundle: they are started where they lie.
const own = [...plan.units, ...plan.services].filter((member) => member.program === undefined);
const bundles = own.map(({ id }): Bundle => {
  const code = readFileSync(join(here, 'bundles', `${id}.mjs`), 'utf8');
  return { id, code, entry: '', sha256: createHash('sha256').update(code).digest('hex'), sizeBytes: Buffer.byteLength(code), modules: [] };
});
const sourceFile = join(here, 'source.json');
const source = existsSync(sourceFile) ? (JSON.parse(readFileSync(sourceFile, 'utf8')) as { readonly folder: string }) : undefined;
const sourceFolder = process.env.DMAS_OPT_SOURCE_FOLDER ?? source?.folder;
const secrets = [...new Set(plan.units.flatMap((unit) => unit.secrets))];
// A model server takes its own where they are set: weights of open models need none.
const ofServices = [...new Set(plan.services.flatMap((service) => service.secrets ?? []))];
const valuesOf = (names: readonly string[]) =>
  Object.fromEntries(names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
const missing = secrets.filter((name) => process.env[name] === undefined);
if (missing.length > 0) {
  process.stderr.write(`set ${missing.join(', ')} first\n`);
  process.exit(11);
}

const controller = new AbortController();
const interrupt = () => controller.abort();
process.once('SIGINT', interrupt);
process.once('SIGTERM', interrupt);
const folder = mkdtempSync(join(tmpdir(), 'dmas-opt-best-'));
const otlp = process.env.OTEL_EXPORTER_OTLP_ENDPOINT;
const target = createProcessTarget({ drainMs: 5_000, queueLimit: 256 });
const starting = target.deploy(
  {
    deploymentId: `best-${process.pid}`,
    plan,
    bundles,
    otlpEndpoints: otlp === undefined ? [] : [otlp],
    samplingRatio: otlp === undefined ? 0 : 1,
    folder,
    ...(sourceFolder === undefined ? {} : { sourceFolder }),
    environment: { ...valuesOf(ofServices), ...valuesOf(secrets) },
    ingressPort: Number(process.env.PORT ?? 0),
    readyTimeoutMs: Math.max(60_000, ...plan.services.map(({ program }) => program?.readyTimeoutMs ?? 0)),
  },
  { emit: () => {}, signal: controller.signal, now: Date.now, seed: 0 },
);
const deployment = await starting.catch((error: unknown) => {
  rmSync(folder, { recursive: true, force: true });
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(controller.signal.aborted ? 130 : 11);
});
process.stdout.write(
  `${plan.application} answers at ${deployment.ingressUrls.join(' ')} (POST / with the input as JSON); Ctrl-C stops it\n`,
);
const stop = async () => {
  process.off('SIGINT', interrupt);
  process.off('SIGTERM', interrupt);
  await deployment.stop();
  rmSync(folder, { recursive: true, force: true });
  process.exit(0);
};
process.once('SIGINT', stop);
process.once('SIGTERM', stop);
if (controller.signal.aborted) await stop();
