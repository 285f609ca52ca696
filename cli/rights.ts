import { DmasError, type Plan } from '../compiler/contracts/index.ts';
import { withEgress } from '../compiler/plan/egress.ts';
import { checkTelemetry } from '../scenarios/check-rights.ts';
import { rightsOf } from '../scenarios/rights.ts';
import type { Project } from './project.ts';

/** A plan that was changed after planning, with what its target needs to hold it to its rights. */
export const withRights = ({ target, scenario }: Pick<Project, 'target' | 'scenario'>, plan: Plan): Plan =>
  target.traits.egress === 'proxy' ? withEgress(plan, rightsOf(scenario.config).networks) : plan;

/**
 * Receivers of traces beside our own, which the user named in the environment.
 * @throws DmasError DMAS_CFG_CONTRADICTION when the scenario does not let traces go there
 */
export function ownReceivers({ scenario }: Pick<Project, 'scenario'>): readonly string[] {
  const receiver = process.env.OTEL_EXPORTER_OTLP_ENDPOINT;
  const receivers = receiver === undefined || receiver === '' ? [] : [receiver];
  const at = (path: string) => ({ file: scenario.file, ...scenario.places[path] });
  const problems = checkTelemetry(scenario.config, receivers, at);
  if (problems.length > 0) throw new DmasError(problems);
  return receivers;
}
