import { type Message, type Part, Role, type Task } from '@a2a-js/sdk';
import type { JsonSchema } from '../../../compiler/contracts/index.ts';
import { invalidError } from '../wire/errors.ts';
import { jsonMediaType, textPart } from './extension.ts';

/** Between the values our components take and give and the parts that strangers send and read. */

export function textOf(parts: readonly Part[]): string | undefined {
  const texts = parts.flatMap(({ content }) => (content?.$case === 'text' ? [content.value] : []));
  return texts.length === 0 ? undefined : texts.join('\n');
}

export function dataOf(parts: readonly Part[]): { readonly value: unknown } | undefined {
  for (const { content } of parts) if (content?.$case === 'data') return { value: content.value };
  return undefined;
}

/**
 * A stranger's message as the input of a component: its first data part, else its text in the place the schema has for it.
 * @throws CallError `invalid` when there is neither.
 */
export function inputFrom(parts: readonly Part[], schema: JsonSchema): unknown {
  const data = dataOf(parts);
  if (data !== undefined) return data.value;
  const text = textOf(parts);
  if (text === undefined) throw invalidError('the message has neither a data part nor a text part');
  if (schema.type === 'string') return text;
  const properties = (schema.properties ?? {}) as { readonly [name: string]: unknown };
  if ('text' in properties) return { text };
  const json = objectIn(text);
  if (json !== undefined) return json;
  const only = soleText(schema, properties);
  return { [only ?? 'text']: text };
}

function objectIn(text: string): unknown {
  if (!text.trimStart().startsWith('{')) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The one required property when it is a string: what else could a plain text be for? */
function soleText(schema: JsonSchema, properties: { readonly [name: string]: unknown }): string | undefined {
  const required = Array.isArray(schema.required) ? schema.required : [];
  const [name] = required;
  if (required.length !== 1 || typeof name !== 'string') return undefined;
  return (properties[name] as { readonly type?: unknown } | undefined)?.type === 'string' ? name : undefined;
}

const hasText = (value: unknown): value is { readonly text: string } =>
  typeof value === 'object' && value !== null && typeof (value as { readonly text?: unknown }).text === 'string';

const dataPart = (value: unknown): Part => ({
  content: { $case: 'data', value },
  metadata: undefined,
  filename: '',
  mediaType: jsonMediaType,
});

/** An output or chunk for a stranger: the value, and its text where it has one. */
export function partsOf(value: unknown): Part[] {
  if (value === undefined || value === null) return [textPart('')];
  if (typeof value === 'string') return [textPart(value)];
  return hasText(value) ? [dataPart(value), textPart(value.text)] : [dataPart(value)];
}

/** An input for an agent somebody else built: text alone where text is all there is, else the value and a text beside it. */
export function partsFor(value: unknown): Part[] {
  if (value === undefined || value === null) return [textPart('')];
  if (typeof value === 'string') return [textPart(value)];
  if (hasText(value) && Object.keys(value).length === 1) return [textPart(value.text)];
  return [dataPart(value), textPart(hasText(value) ? value.text : JSON.stringify(value))];
}

/** What a stranger's agent answered: its data, else `{ text }`; undefined when it said nothing. */
export function outputFrom(parts: readonly Part[]): unknown {
  const data = dataOf(parts);
  if (data !== undefined) return data.value;
  const text = textOf(parts);
  return text === undefined ? undefined : { text };
}

/** The artifacts of a task joined; where it has none, what its last status says. */
export function outputOfTask(task: Task): unknown {
  const parts = task.artifacts.flatMap(({ parts: own }) => own);
  if (parts.length > 0) return outputFrom(parts);
  const said = task.status?.message ?? lastOfAgent(task.history);
  return said === undefined ? undefined : outputFrom(said.parts);
}

const lastOfAgent = (history: readonly Message[]) => history.findLast((message) => message.role === Role.ROLE_AGENT);
