import { plannedModelsOf } from '../../contracts/index.ts';
import type { Context } from '../kubernetes/context.ts';
import { secretNameOf } from '../kubernetes/environment.ts';
import type { KubernetesObject } from '../kubernetes/input.ts';
import { cut, digestOf, slug } from '../kubernetes/names.ts';
import { within } from './addresses.ts';

const longestName = 63;

/**
 * The models of the layout as kagent’s ModelConfigs, so that they stand in its catalogue and agents that kagent runs itself
 * can use them. Units do not read them: the layout has told each what to ask.
 */
export function modelConfigs(context: Context): readonly KubernetesObject[] {
  const { plan } = context.input;
  const asked = plan.units.flatMap((unit) => plannedModelsOf(unit).map((model) => ({ unit: unit.id, model })));
  const distinct = new Map(asked.map((each) => [`${each.model.address} ${each.model.model}`, each]));
  const names = [...distinct.values()].map(({ model }) => cut(`${context.prefix}-${slug(model.model)}`, longestName));
  return [...distinct].map(([key, { unit, model }], index) => {
    const plain = names[index] ?? '';
    // Two pools of one model are two configs.
    const name = names.indexOf(plain) === names.lastIndexOf(plain) ? plain : cut(`${plain}-${digestOf(key)}`, longestName);
    const secret = model.secret === undefined ? {} : { apiKeySecret: secretNameOf(context, unit), apiKeySecretKey: model.secret };
    return {
      apiVersion: 'kagent.dev/v1alpha2',
      kind: 'ModelConfig',
      metadata: context.metadata(name, 'model'),
      spec: { provider: 'OpenAI', model: model.model, ...secret, openAI: { baseUrl: baseUrlOf(context, model.address) } },
    };
  });
}

/** Servers of ours and of vLLM answer under `/v1`; what the scenario says of others it says whole. */
function baseUrlOf(context: Context, address: string): string {
  if (/^https?:/.test(address)) return address;
  return `${within(context, address)}/v1`;
}
