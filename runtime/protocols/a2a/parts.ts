import { type Message, type Part, Role, type Task } from '@a2a-js/sdk';
import type { JsonSchema } from '../../../compiler/contracts/index.ts';
import { invalidError } from '../wire/errors.ts';
import { jsonMediaType, textPart } from './extension.ts';

/** Between the values our components take and give and the parts that strangers send and read. */

export function textOf(parts: readonly Part[], joint = '\n'): string | undefined {
  const texts = parts.flatMap(({ content }) => (content?.$case === 'text' ? [content.value] : []));
  return texts.length === 0 ? undefined : texts.join(joint);
}

export function dataOf(parts: readonly Part[]): { readonly value: unknown } | undefined {
  for (const { content } of parts) if (content?.$case === 'data') return { value: content.value };
  return undefined;
}

/** A file as our components see it: a place to get it from, or its bytes. */
interface FileValue {
  readonly name?: string;
  readonly mediaType?: string;
  readonly url?: string;
  readonly base64?: string;
}

const filesOf = (parts: readonly Part[]): FileValue[] =>
  parts.flatMap(({ content, filename, mediaType }): FileValue[] => {
    const named = { ...(filename === '' ? {} : { name: filename }), ...(mediaType === '' ? {} : { mediaType }) };
    if (content?.$case === 'url') return [{ ...named, url: content.value }];
    return content?.$case === 'raw' ? [{ ...named, base64: Buffer.from(content.value).toString('base64') }] : [];
  });

/** An output `{ file: { url | base64, name, mediaType } }` is a file to a stranger. */
function filePart(value: unknown): Part | undefined {
  const { url, base64, name = '', mediaType = '' } = ((value as { readonly file?: FileValue } | null)?.file ?? {}) as FileValue;
  if (typeof url === 'string') return { content: { $case: 'url', value: url }, metadata: undefined, filename: name, mediaType };
  if (typeof base64 !== 'string') return undefined;
  return { content: { $case: 'raw', value: Buffer.from(base64, 'base64') }, metadata: undefined, filename: name, mediaType };
}

/**
 * A stranger's message as the input of a component: its first data part, else its text in the place the schema has for it, with `files`
 * beside it where there are any.
 * @throws CallError `invalid` when there is none of them.
 */
export function inputFrom(parts: readonly Part[], schema: JsonSchema): unknown {
  const data = dataOf(parts);
  if (data !== undefined) return data.value;
  const files = filesOf(parts);
  const text = textOf(parts);
  if (files.length > 0) return { ...(text === undefined ? {} : { text }), files };
  if (text === undefined) throw invalidError('the message has no data, text or file part');
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
  if (hasText(value)) return [dataPart(value), textPart(value.text)];
  return [filePart(value) ?? dataPart(value)];
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

/** The artifacts of a task joined; where it has none, what its last status says. The parts of one artifact are pieces of one text. */
export function outputOfTask(task: Task): unknown {
  const data = dataOf(task.artifacts.flatMap(({ parts }) => parts));
  if (data !== undefined) return data.value;
  const texts = task.artifacts.flatMap(({ parts }) => textOf(parts, '') ?? []);
  if (texts.length > 0) return { text: texts.join('\n') };
  const said = task.status?.message ?? lastOfAgent(task.history);
  return said === undefined ? undefined : outputFrom(said.parts);
}

const lastOfAgent = (history: readonly Message[]) => history.findLast((message) => message.role === Role.ROLE_AGENT);
