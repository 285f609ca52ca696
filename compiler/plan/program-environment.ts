import type { LogicalAddress, PlannedModel, PlannedProgram } from '../contracts/index.ts';
import { proxyVariables } from './proxy-variables.ts';

/** What a target needs to start something that somebody else built. */
export interface MemberProgram {
  readonly planned: PlannedProgram;
  /** The component it is. */
  readonly component: string;
  readonly models: { readonly [model: string]: PlannedModel };
  /** Which member listens at each address it is told, and as the how-many-eth of its listeners. */
  readonly reaches: { readonly [address: LogicalAddress]: { readonly id: string; readonly listener: number; readonly fixedPort?: number } };
  /** Where everything goes that leaves the deployment; absent: out directly. */
  readonly egress?: LogicalAddress;
}

interface Surroundings {
  readonly program: MemberProgram;
  readonly unit: string;
  readonly replica: number;
  readonly instanceId: string;
  readonly deploymentId: string;
  /** As the program hears it; the first receives its spans. */
  readonly otlpEndpoints: readonly string[];
  readonly port: number;
  /** `host:port` that stays true for as long as the program runs. */
  readonly at: (address: LogicalAddress) => string;
  /** Values of the secrets of this member. */
  readonly secrets: { readonly [name: string]: string };
}

/** How often a program exports spans, in milliseconds; the default of the OpenTelemetry SDKs, 5 s, would outlast a block. */
export const exportDelayMs = 250;

/** Everything a foreign program is told. What the scenario fixes wins over what we say of OpenTelemetry. */
export function programEnvironment(around: Surroundings): { [name: string]: string } {
  const { program, port, at, secrets } = around;
  const { planned, models } = program;
  const neighbours = Object.entries(planned.neighbours).map(([name, { url, address }]) => [
    name,
    url.includes('{at}') ? url.replace('{at}', at(address)) : url,
  ]);
  return {
    ...telemetry(around),
    ...egressVariables(around),
    ...secrets,
    ...planned.environment,
    ...Object.fromEntries(neighbours),
    ...Object.fromEntries(Object.entries(planned.models).flatMap(([model, names]) => modelVariables(names, models[model], at, secrets))),
    ...(planned.fixedPort === undefined ? { [planned.portVariable]: String(port) } : {}),
  };
}

/** What programs in any language read to send what leaves through a proxy. What stands inside is called directly. */
function egressVariables({ program, at, otlpEndpoints }: Surroundings): { [name: string]: string } {
  if (program.egress === undefined) return {};
  const inside = Object.keys(program.reaches).flatMap((address) => at(address).split(':')[0] || []);
  return proxyVariables(`http://${at(program.egress)}`, [...inside, ...otlpEndpoints.map((endpoint) => new URL(endpoint).hostname)]);
}

function modelVariables(
  names: PlannedProgram['models'][string],
  model: PlannedModel | undefined,
  at: Surroundings['at'],
  secrets: Surroundings['secrets'],
): [string, string][] {
  if (model === undefined) return [];
  // The same base path our own client uses for servers we run.
  const baseUrl = model.address.startsWith('service://') ? `http://${at(model.address)}/v1` : model.address;
  // Clients of OpenAI refuse to start without a key, even where nobody asks for one.
  const key = (model.secret === undefined ? undefined : secrets[model.secret]) ?? 'none';
  return [
    [names.baseUrl, baseUrl],
    ...(names.key === undefined ? [] : [[names.key, key] as [string, string]]),
    ...(names.model === undefined ? [] : [[names.model, model.model] as [string, string]]),
  ];
}

/**
 * The variables every OpenTelemetry SDK reads. Only requests we trace are traced: a program's own wake-ups would be traces
 * without an ingress. Metrics and logs have no receiver here.
 */
function telemetry({ program, unit, replica, instanceId, deploymentId, otlpEndpoints }: Surroundings): { [name: string]: string } {
  if (!program.planned.instrumented) return {};
  const [endpoint] = otlpEndpoints;
  const resource = { 'dmas.unit': unit, 'dmas.replica': replica, 'dmas.deployment.id': deploymentId, 'service.instance.id': instanceId };
  return {
    OTEL_SERVICE_NAME: program.component,
    OTEL_RESOURCE_ATTRIBUTES: Object.entries(resource)
      .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
      .join(','),
    OTEL_PROPAGATORS: 'tracecontext,baggage',
    OTEL_TRACES_SAMPLER: 'parentbased_always_off',
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_LOGS_EXPORTER: 'none',
    ...(endpoint === undefined
      ? { OTEL_TRACES_EXPORTER: 'none' }
      : {
          OTEL_TRACES_EXPORTER: 'otlp',
          OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
          OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
          OTEL_BSP_SCHEDULE_DELAY: String(exportDelayMs),
        }),
  };
}

/** `{port}` in an argument, for programs that read no environment variable. */
export const commandLine = (command: readonly string[], port: number): string[] =>
  command.map((part) => part.replaceAll('{port}', String(port)));
