import type { IncomingMessage } from 'node:http';
import { askerHeaders, type Json } from '../../../compiler/contracts/index.ts';
import { ApiError } from './chat-request.ts';

export type Fields = { readonly [key: string]: Json };

/** Who asks, as far as the headers say it. */
export function askerOf({ headers }: IncomingMessage): { caller?: string; conversation?: string } {
  const one = (name: string) => (typeof headers[name] === 'string' ? (headers[name] as string) : undefined);
  const caller = one(askerHeaders.agent);
  // Without a word of ours the trace says which request it is; its id is the second field of a W3C traceparent.
  const conversation = one(askerHeaders.conversation) ?? one('traceparent')?.split('-')[1];
  return { ...(caller === undefined ? {} : { caller }), ...(conversation === undefined ? {} : { conversation }) };
}

/** The path below the base URL, whether or not that ends in `/v1`. */
export const apiPath = (url: string | undefined): string => (url ?? '/').split('?')[0]?.replace(/^\/v1(?=\/|$)/, '') || '/';

/** What is asked on another path; the name of the model on the wire is no part of it. */
export function opaqueQuestion(path: string, body: Json): Json {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return { path, body };
  const { model: _, ...rest } = body as Fields;
  return { path, body: rest };
}

export const includesUsage = (body: Fields): boolean =>
  typeof body.stream_options === 'object' && body.stream_options !== null && (body.stream_options as Fields).include_usage === true;

/** A body that is a JSON object. Throws an ApiError 400. */
export function fieldsOf(text: string): Fields {
  try {
    const value = JSON.parse(text) as Json;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  } catch {
    // Told below.
  }
  throw new ApiError(400, 'invalid_json', 'The body of the request is not a JSON object.');
}
