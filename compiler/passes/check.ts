import type { Problem } from '../contracts/index.ts';
import type { Draft, Pass } from './draft.ts';
import { findDuplicates } from './duplicates.ts';
import { checkGraphs } from './graphs.ts';
import { findBadHosts } from './hosts.ts';
import { findUnboundModels } from './models.ts';
import { findBadNames } from './names.ts';
import { findUnreachable } from './reachability.ts';
import { findUnknownReferences } from './references.ts';
import { findSharedState } from './shared-state.ts';

/** All that can be wrong with a workflow by itself, and with the models bound to it if those are given. */
export function checkWorkflow(draft: Draft, boundModels?: readonly string[]): readonly Problem[] {
  const passes: Pass[] = [findBadNames, findBadHosts, findDuplicates, findUnknownReferences, findUnreachable, checkGraphs, findSharedState];
  if (boundModels !== undefined) passes.push(findUnboundModels(boundModels));
  return passes.flatMap((pass) => pass(draft));
}
