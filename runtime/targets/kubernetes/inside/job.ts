/** Where a job that has files to give is asked for them. */
export const jobPort = 7000;

/** Files of the pod in place of those that the caller named. */
export interface JobFiles {
  /** Paths as they stand in the input, of files that the program writes. */
  readonly writes: readonly string[];
  /** Paths as they stand in the input, of files that make the program stop. */
  readonly watches: readonly string[];
}

export interface JobOutcome {
  readonly code: number | null;
  readonly signal: string | null;
  /** Last line of output that is not empty. */
  readonly lastLine: string;
}
