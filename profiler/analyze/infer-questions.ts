import type { TraceDigest } from '../../compiler/contracts/index.ts';
import type { InferredQuestion, InferredWorkflow } from './infer-workflow.ts';

/** What the traces leave open and only somebody who knows the application can say, most consequential first. */
export function inferQuestions(digest: TraceDigest, draft: Omit<InferredWorkflow, 'questions'>): InferredQuestion[] {
  return [
    ...unreached(digest, draft),
    ...missingParents(digest),
    ...darkCallees(digest, draft),
    ...outsiders(digest, draft),
    ...unknownLanguages(draft),
    ...severalEntries(digest, draft),
    ...asynchronous(draft),
  ];
}

/** Components that nobody is seen to call and that are no entry: their callers lost the trace context. */
function unreached({ roots }: TraceDigest, { workflow, edges, holderOf }: Omit<InferredWorkflow, 'questions'>): InferredQuestion[] {
  const entries = new Set(roots.map(({ entry }) => holderOf[entry] ?? entry));
  const called = new Set(edges.map(({ to }) => to));
  return [...workflow.agents, ...workflow.toolServers]
    .filter(({ name }) => !called.has(name) && !entries.has(name))
    .map(({ name }) => ({ about: [name], question: `Who calls ${name}? No traced call reaches it.` }));
}

function missingParents({ quality }: TraceDigest): InferredQuestion[] {
  const traces = quality.traces - quality.complete;
  // A request that came in with a context of its user's is whole.
  if (quality.orphanSpans === 0 || traces === 0) return [];
  const [spans, those] =
    quality.orphanSpans === 1 ? ['1 span names', 'its caller'] : [`${quality.orphanSpans} spans name`, 'their callers'];
  return [
    {
      about: [],
      question: `Which calls are missing? ${spans} a parent that was not traced (${traces} of ${quality.traces} traces are partial), so edges from ${those} could not be seen.`,
    },
  ];
}

function darkCallees({ quality, edges }: TraceDigest, { holderOf }: Omit<InferredWorkflow, 'questions'>): InferredQuestion[] {
  return quality.darkComponents.map((name) => {
    const callers = [...new Set(edges.filter((edge) => edge.to === name).map((edge) => holderOf[edge.from] ?? edge.from))].sort();
    return {
      about: [name],
      question: `What does ${name} call? ${callers.join(' and ') || 'Somebody'} calls it, but it sends no spans of its own.`,
    };
  });
}

function outsiders(digest: TraceDigest, { components }: Omit<InferredWorkflow, 'questions'>): InferredQuestion[] {
  return components
    .filter(({ kind, name }) => kind === 'outside' && !digest.quality.darkComponents.includes(name))
    .map(({ name }) => ({
      about: [name],
      question: `Is ${name} yours to deploy? It is only seen from its callers and taken as somebody else’s.`,
    }));
}

function unknownLanguages({ components }: Omit<InferredWorkflow, 'questions'>): InferredQuestion[] {
  const open = components
    .filter(({ mobility, languages }) => mobility === 'replicasOnly' && languages.length === 0)
    .map(({ name }) => name);
  if (open.length === 0) return [];
  return [
    {
      about: open,
      question: `What ${open.length === 1 ? 'is' : 'are'} ${list(open)} written in? The traces do not say (resource attribute telemetry.sdk.language); only code for Node.js can share a process.`,
    },
  ];
}

function severalEntries({ roots }: TraceDigest, { holderOf }: Omit<InferredWorkflow, 'questions'>): InferredQuestion[] {
  const entries = [...new Set(roots.map(({ entry }) => holderOf[entry] ?? entry))];
  if (entries.length < 2) return [];
  return [
    { about: entries, question: `Do users call ${list(entries)} all directly? Each begins traces; the busiest is taken as the entry.` },
  ];
}

function asynchronous({ edges }: Omit<InferredWorkflow, 'questions'>): InferredQuestion[] {
  return edges
    .filter(({ kind }) => kind === 'async')
    .map(({ from, to, protocol }) => ({
      about: [from, to],
      question: `Over which topic does ${from} reach ${to}? It is a message nobody waits for${protocol === null ? '' : ` (${protocol})`}.`,
    }));
}

const shown = 6;
const list = (names: readonly string[]): string => {
  const some = names.length > shown ? [...names.slice(0, shown), `${names.length - shown} more`] : names;
  return some.length < 2 ? some.join('') : `${some.slice(0, -1).join(', ')} and ${some.at(-1)}`;
};
