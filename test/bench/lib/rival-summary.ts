export interface SummaryRow {
  /** As in the summary, e.g. `TTFT Mean`. */
  readonly metric: string;
  readonly loggedMs: number;
  readonly simulatedMs: number;
  readonly errorPct: number;
}

/** Rows `name, logged, simulated, difference in per cent` of another simulator's summary of a run. */
export function parseRivalSummary(text: string): SummaryRow[] {
  return text.split(/\r?\n/).flatMap((line) => {
    const match = /^\s*(\S+(?: \S+)+?)\s{2,}([\d.]+)\s+([\d.]+)\s+([+-]?[\d.]+)%\s*$/.exec(line);
    if (!match) return [];
    const [, metric = '', logged, simulated, error] = match;
    return [{ metric, loggedMs: Number(logged), simulatedMs: Number(simulated), errorPct: Number(error) }];
  });
}
