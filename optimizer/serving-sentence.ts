import {
  type Configuration,
  canonicalConfiguration,
  canonicalJson,
  type Prediction,
  type Provenance,
} from '../compiler/contracts/index.ts';
import { gpusOfPool, poolUsdPerHour } from '../runtime/llm/engine/pool-size.ts';
import type { PricesConfig } from '../scenarios/schema.ts';

export interface ServingSentenceInput {
  readonly before: Configuration;
  readonly after: Configuration;
  readonly pricing: Pick<PricesConfig, 'gpuHourUsd'>;
  /** The weakest source of what was measured of the two. */
  readonly provenance: Provenance;
  /** Of the new configuration: says whose engines are estimates. */
  readonly prediction?: Prediction | undefined;
}

/** What to change in how the models are served, and what that saves an hour, in one sentence; undefined where nothing changes. */
export function servingSentence({ before, after, pricing, provenance, prediction }: ServingSentenceInput): string | undefined {
  const [was, is] = [canonicalConfiguration(before), canonicalConfiguration(after)];
  const models = [...new Set([was, is].flatMap(({ serving }) => Object.entries(serving).map(([id, pool]) => pool.model ?? id)))].sort();
  const changes = models.flatMap((model) => changeOf(model, poolsOf(was, model), poolsOf(is, model)));
  const agents = Object.entries(is.modelChoice ?? {}).flatMap(([agent, choice]) =>
    Object.entries(choice)
      .filter(([asked, used]) => (was.modelChoice?.[agent]?.[asked] ?? asked) !== used)
      .map(([asked, used]) => `answer ${agent} with ${used} instead of ${was.modelChoice?.[agent]?.[asked] ?? asked}`),
  );
  const all = [...changes, ...agents];
  if (all.length === 0) return undefined;
  const usd = ({ serving }: Configuration) =>
    Object.values(serving).reduce((sum, { options, replicas }) => sum + poolUsdPerHour(options, replicas, pricing.gpuHourUsd), 0);
  const [old, now] = [usd(was), usd(is)];
  const basis = [
    ...(provenance === 'measured' ? [] : [provenance]),
    ...(Object.values(prediction?.pools ?? {}).some(({ evidence }) => evidence === 'estimate')
      ? ['with step times that are an estimate']
      : []),
  ];
  const said = basis.length === 0 ? '' : ` (${basis.join(', ')})`;
  const money =
    Math.abs(old - now) <= 1e-9 * Math.max(old, now)
      ? old > 0
        ? `, for the same ${dollars(old)} of GPUs an hour`
        : ''
      : `, which ${now < old ? 'saves' : 'takes'} ${dollars(Math.abs(old - now))} of GPUs an hour: ${dollars(now)} instead of ${dollars(old)}`;
  return `What to change in serving: ${list(all)}${money}${said}.`;
}

type Pools = readonly { readonly agents?: readonly string[]; readonly said: string; readonly key: string }[];

function poolsOf({ serving }: Configuration, model: string): Pools {
  return Object.entries(serving)
    .filter(([id, pool]) => (pool.model ?? id) === model)
    .map(([, pool]) => {
      const { agents, replicas, options } = pool;
      const gpus = gpusOfPool(options, replicas);
      const servers = `${gpus === null ? `${replicas} ${replicas === 1 ? 'server' : 'servers'}` : `${gpus.count} × ${gpus.gpu}`}`;
      return { ...(agents ? { agents } : {}), said: servers, key: canonicalJson(options) };
    });
}

function changeOf(model: string, was: Pools, is: Pools): string[] {
  if (canonicalJson(was as never) === canonicalJson(is as never)) return [];
  if (is.length === 0) return [`stop serving ${model}`];
  if (was.length === 0) return [`serve ${model} on ${list(is.map(pool))}`];
  const [only, then] = [is[0], was[0]];
  if (is.length === 1 && was.length === 1 && only && then) {
    const settings = only.said === then.said ? settingsOf(then.key, only.key) : `${only.said} instead of ${then.said}`;
    return [`serve ${model} ${only.said === then.said ? 'with' : 'on'} ${settings}`];
  }
  if (is.length > was.length) return [`split the pool of ${model} into ${list(is.map(pool))} instead of ${list(was.map(pool))}`];
  if (is.length < was.length) return [`join the pools of ${model} into ${list(is.map(pool))} instead of ${list(was.map(pool))}`];
  return [`group the pools of ${model} as ${list(is.map(pool))} instead of ${list(was.map(pool))}`];
}

const pool = ({ agents, said }: Pools[number]): string => (agents === undefined ? said : `${said} for ${list(agents)}`);

/** Options that differ: `maxNumSeqs 64 instead of 256`. */
function settingsOf(before: string, after: string): string {
  const [was, is] = [JSON.parse(before), JSON.parse(after)] as [Record<string, unknown>, Record<string, unknown>];
  const names = [...new Set([...Object.keys(was), ...Object.keys(is)])].sort().filter((name) => was[name] !== is[name]);
  return list(names.map((name) => `${name} ${String(is[name] ?? 'by default')} instead of ${String(was[name] ?? 'the default')}`));
}

const dollars = (value: number): string => `${value.toFixed(value < 1 ? 3 : 2)} USD`;
const list = (parts: readonly string[]): string =>
  parts.length < 2 ? (parts[0] ?? '') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
