/** Request headers of the ingress protocol; the load driver uses the same names (profiler/load/job.ts). */
export const ingressHeaders = {
  class: 'x-dmas-class',
  session: 'x-dmas-session',
  block: 'x-dmas-block',
  deadlineMs: 'x-dmas-deadline-ms',
  request: 'x-dmas-request',
  resume: 'x-dmas-resume',
} as const;

/** On an error answer: no handler began, so the request may go to another replica. For gateways, which stream bodies through. */
export const neverStartedHeader = 'x-dmas-never-started';
/** Trailer of a streamed answer that ended in an error: its code, since the status went out before. For gateways, too. */
export const outcomeTrailer = 'x-dmas-outcome';
