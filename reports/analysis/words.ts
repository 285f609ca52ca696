import type { AnalysisPathKind, AnalysisVerdict } from '../analysis.ts';

/** What the kinds of time along the critical path are called. */
export const pathTitles: { readonly [kind in AnalysisPathKind]: string } = {
  working: 'own work',
  tool: 'tools',
  model: 'model calls',
  external: 'databases and others',
  communication: 'hops between processes',
};

export const verdictTitles: { readonly [kind in AnalysisVerdict['kind']]: string } = {
  'worth-trying': 'Worth trying',
  maybe: 'Perhaps',
  'not-worth-it': 'Not worth it',
  'nothing-to-say': 'Nothing to arrange',
};
