import { dirname } from 'node:path';
import { bundleEntry } from './bundle/bundle-entry.ts';
import { packageRoot } from './bundle/package-root.ts';
import type { Bundle, Plan, Workflow } from './contracts/index.ts';
import { emitServiceEntry } from './emit/service-entry.ts';
import { unitTemplate } from './emit/unit-entry.ts';

/**
 * One self-contained ES module per unit and service of the plan, in the plan's order. Each holds the code of its own
 * agents and tools and no other's.
 *
 * @throws DmasError `DMAS_BUNDLE`, with all that is wrong with the first unit that cannot be bundled
 */
export async function bundlePlan({ plan, workflow }: { readonly plan: Plan; readonly workflow: Workflow }): Promise<Bundle[]> {
  const folder = dirname(workflow.file);
  const units = plan.units.map((unit) => ({ id: unit.id, entry: unitTemplate(unit, workflow, plan.application, plan.ingress) }));
  const services = plan.services.map((service) => ({ id: service.id, entry: { text: emitServiceEntry(service, plan), values: {} } }));
  return Promise.all([...units, ...services].map(({ id, entry }) => bundleEntry(id, entry, folder)));
}

/**
 * One of our own programs as a self-contained ES module, to be run as a job.
 *
 * @param entryModule from the package's root, without extension: `profiler/load/driver-main`
 * @throws DmasError `DMAS_BUNDLE`
 */
export async function bundleJob(entryModule: string): Promise<string> {
  const text = `import 'dmas-opt/${entryModule.replace(/\.(ts|js)$/, '')}';\n`;
  const bundle = await bundleEntry('job', { text, values: {} }, packageRoot);
  return bundle.code;
}
