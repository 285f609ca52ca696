import type { Place, Problem, Workflow } from '../contracts/index.ts';

/** A workflow as read, not yet known to be sound: names may be double or lead nowhere. What every pass looks at. */
export interface Draft {
  readonly workflow: Workflow;
  /** Contract names tools and agents are called by, per component; wider than the channels, which hold only what exists. */
  readonly references: readonly Reference[];
  /** Where something of this name was defined. */
  readonly placeOf: (name: string) => Place | undefined;
  readonly modules: readonly { readonly path: string; readonly text: string }[];
}

/** One component naming another, or a tool. */
export interface Reference {
  readonly from: string;
  readonly to: string;
  readonly what: 'agent' | 'tool' | 'tool server';
}

export type Pass = (draft: Draft) => readonly Problem[];

/** A problem at the definition of `name`. */
export function problemAt(
  draft: Draft,
  name: string,
  problem: Pick<Problem, 'code' | 'message'> & Partial<Omit<Problem, 'code' | 'message' | 'at'>>,
): Problem {
  const at = draft.placeOf(name);
  return { severity: 'error', ...problem, ...(at === undefined ? {} : { at }) };
}
