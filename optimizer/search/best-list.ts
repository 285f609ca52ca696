import { type Configuration, configurationId, type Prediction, type ScoredConfiguration } from '../../compiler/contracts/index.ts';

/** Objectives closer than this (relative) are the same number with other rounding. */
const digits = 10;
/** How much above the threshold a bound must be to cut, so that rounding never cuts an equal. */
export const cutMargin = 2e-9;

interface Entry {
  readonly scored: ScoredConfiguration;
  readonly key: number;
  readonly tie: number;
  readonly id: string;
}

/** The best `count` of what it was given, in one order that does not depend on the order of insertion. */
export interface BestList {
  add(configuration: Configuration, prediction: Prediction, objective: number, tie: number): void;
  /** No configuration above this can still get in; infinity until the list is full. */
  threshold(): number;
  items(): readonly ScoredConfiguration[];
}

export function createBestList(count: number): BestList {
  const entries: Entry[] = [];
  const known = new Set<string>();
  return {
    add(configuration, prediction, objective, tie) {
      if (!Number.isFinite(objective) || count < 1) return;
      const key = rounded(objective);
      const last = entries[entries.length - 1];
      if (last && entries.length === count && key > last.key) return;
      const id = prediction.configurationId || configurationId(configuration);
      if (known.has(id)) return;
      const entry: Entry = { scored: { configuration, prediction, objective }, key, tie: rounded(tie), id };
      let place = entries.length;
      while (place > 0 && before(entry, entries[place - 1] as Entry)) place--;
      if (place >= count) return;
      entries.splice(place, 0, entry);
      known.add(id);
      if (entries.length > count) known.delete((entries.pop() as Entry).id);
    },
    threshold: () => (entries.length < count ? Number.POSITIVE_INFINITY : (entries[entries.length - 1] as Entry).scored.objective),
    items: () => entries.map((entry) => entry.scored),
  };
}

const rounded = (value: number): number => Number(value.toPrecision(digits));

function before(a: Entry, b: Entry): boolean {
  if (a.key !== b.key) return a.key < b.key;
  if (a.tie !== b.tie) return a.tie < b.tie;
  const units = a.scored.configuration.units.length - b.scored.configuration.units.length;
  if (units !== 0) return units < 0;
  return a.id < b.id;
}
