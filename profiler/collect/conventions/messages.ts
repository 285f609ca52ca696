import { type ContentMark, markOf } from '../foreign/hash.ts';
import type { ForeignAttributes, ForeignValue } from '../foreign/span.ts';

/** More messages than any conversation that fits a context; protects the memory from a hostile span. */
const maxMessages = 2_000;

/** Marks of the messages in an attribute that holds a list of them as JSON; one mark of the whole where it is other text. */
export function messageList(value: ForeignValue | undefined): ContentMark[] | undefined {
  if (typeof value !== 'string' || value === '') return undefined;
  if (value.startsWith('[')) {
    try {
      const list: unknown = JSON.parse(value);
      if (Array.isArray(list)) return list.slice(0, maxMessages).map((item) => markOf(JSON.stringify(item)));
    } catch {
      // cut off by the exporter's length limit, which the start of the text survives
    }
  }
  return [markOf(value)];
}

/**
 * Marks of messages that are spread over attributes `<prefix><n>.<field>`, as OpenLLMetry and OpenInference write them.
 */
export function indexedMessages(attributes: ForeignAttributes, prefix: string): ContentMark[] | undefined {
  let parts: string[][] | undefined;
  for (const [key, value] of attributes) {
    if (!key.startsWith(prefix)) continue;
    const dot = key.indexOf('.', prefix.length);
    const index = dot < 0 ? Number.NaN : Number(key.slice(prefix.length, dot));
    if (!Number.isInteger(index) || index < 0 || index >= maxMessages) continue;
    parts ??= [];
    const fields = parts[index] ?? [];
    parts[index] = fields;
    fields.push(`${key.slice(dot)}=${value}`);
  }
  // Fields of one message come in any order.
  return parts?.filter((fields) => fields !== undefined).map((fields) => markOf(fields.sort().join('\n')));
}
