import type { Configuration, Study } from '../compiler/contracts/index.ts';
import { lastOf } from '../reports/build.ts';

/** The layout a study decided for; the baseline where it decided nothing. */
export function winnerOf(study: Study, baseline: Configuration): Configuration {
  const winner = lastOf(study, 'decided')?.winner;
  const trial = study.entries.find((entry) => entry.type === 'trial-added' && entry.configurationId === winner);
  return trial?.type === 'trial-added' ? trial.configuration : baseline;
}
