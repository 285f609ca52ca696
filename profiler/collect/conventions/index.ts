import type { ForeignSpan } from '../foreign/span.ts';
import { type Convention, fill, type Reading, text } from './convention.ts';
import { dmas } from './dmas.ts';
import { genai } from './genai.ts';
import { human } from './human.ts';
import { openinference } from './openinference.ts';
import { openllmetry } from './openllmetry.ts';
import { services } from './services.ts';

/** In the order in which they are believed: what a more special one says stands. */
export const conventions: readonly Convention[] = [dmas, openinference, openllmetry, genai, human, services];

/** What all conventions together make of a span; `seen` gets the ids of those it has attributes of. */
export function readConventions(span: ForeignSpan, seen?: (convention: string) => void): Reading & { act: NonNullable<Reading['act']> } {
  const reading: Reading = {};
  let own = false;
  for (const convention of conventions) {
    // Our names are OpenTelemetry's; a span of ours is fully read by then but for its model call.
    if (own && convention !== genai) continue;
    if (!convention.read(span, reading)) continue;
    seen?.(convention.id);
    if (convention === dmas) own = true;
  }
  fill(reading, 'errorType', text(span.attributes, 'error.type', 'exception.type'));
  fill(reading, 'conversation', text(span.attributes, 'session.id', 'conversation.id', 'langgraph.thread_id'));
  fill(reading, 'act', 'frame');
  return reading as Reading & { act: NonNullable<Reading['act']> };
}
