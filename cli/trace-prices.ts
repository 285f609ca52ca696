import { DmasError, fail } from '../compiler/contracts/index.ts';
import { loadScenario } from '../scenarios/load.ts';
import { type PricesConfig, scenarioSchema } from '../scenarios/schema.ts';

/** Prices for an analysis: of a scenario if one is named, else the defaults of scenarios, with models from the command line on top. */
export async function tracePrices(scenario: string | undefined, modelPrices: readonly string[]): Promise<PricesConfig> {
  const base = scenario === undefined ? scenarioSchema.parse({ workflow: '-' }).prices : await pricesIn(scenario);
  return { ...base, models: { ...base.models, ...Object.fromEntries(modelPrices.map(modelPrice)) } };
}

async function pricesIn(file: string): Promise<PricesConfig> {
  const { scenario, problems } = await loadScenario(file, process.env);
  if (!scenario) throw new DmasError(problems);
  return scenario.config.prices;
}

/** `gpt-4o=2.5/10` or `gpt-4o=2.5/10/1.25`: USD per million tokens in, out and, from the cache, in. */
function modelPrice(text: string): [model: string, price: PricesConfig['models'][string]] {
  const [, model = '', prices = ''] = /^(.+)=([^=]+)$/.exec(text) ?? [];
  const [input, output, cached, ...more] = prices.split('/').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  const valid = (value: number | undefined): value is number => value !== undefined && Number.isFinite(value) && value >= 0;
  if (model === '' || !valid(input) || !valid(output) || (cached !== undefined && !valid(cached)) || more.length > 0)
    fail('DMAS_CLI_USAGE', `"${text}" is no model price`, {
      allowed: ['gpt-4o=2.5/10', 'gpt-4o=2.5/10/1.25 (USD per million tokens in/out/cached)'],
    });
  return [
    model,
    { inputPerMillionUsd: input, outputPerMillionUsd: output, ...(cached === undefined ? {} : { cachedPerMillionUsd: cached }) },
  ];
}
