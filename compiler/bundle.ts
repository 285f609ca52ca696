import { dirname } from 'node:path';
import { bundleEntries } from './bundle/bundle-entries.ts';
import { packageRoot } from './bundle/package-root.ts';
import type { Bundle, Plan, Workflow } from './contracts/index.ts';
import { serviceTemplate } from './emit/service-entry.ts';
import { unitTemplate } from './emit/unit-entry.ts';

export interface BundleInput {
  readonly plan: Plan;
  readonly workflow: Workflow;
  /** Content of the cassette, for a plan with a tape. */
  readonly cassette?: string | undefined;
}

/**
 * One self-contained ES module per unit and service of the plan, in the plan's order. Each holds the code of its own
 * agents and tools and no other's.
 *
 * @throws DmasError `DMAS_BUNDLE`, with all that is wrong with the first unit that cannot be bundled
 */
export async function bundlePlan({ plan, workflow, cassette }: BundleInput): Promise<Bundle[]> {
  // What somebody else built has no code of ours.
  const own = plan.units.filter((unit) => unit.program === undefined);
  const units = own.map((unit) => ({ id: unit.id, template: unitTemplate(unit, workflow, plan.application, plan.ingress) }));
  const served = plan.services.filter((service) => service.program === undefined);
  const services = served.map((service) => ({ id: service.id, template: serviceTemplate(service, plan, cassette) }));
  return bundleEntries([...units, ...services], dirname(workflow.file));
}

/**
 * One of our own programs as a self-contained ES module, to be run as a job.
 *
 * @param entryModule from the package's root, without extension: `profiler/load/driver-main`
 * @throws DmasError `DMAS_BUNDLE`
 */
export async function bundleJob(entryModule: string): Promise<string> {
  const text = `import 'dmas-opt/${entryModule.replace(/\.(ts|js)$/, '')}';\n`;
  const [bundle] = await bundleEntries([{ id: 'job', template: { text, values: {} } }], packageRoot);
  if (bundle === undefined) throw new Error(`nothing was built for ${entryModule}`);
  return bundle.code;
}
