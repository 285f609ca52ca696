/** Where something stands in a file the user wrote. Lines and columns start at 1. */
export interface Place {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
  /** Number of characters the caret underlines. */
  readonly length?: number;
}

export type Severity = 'error' | 'warning';

/** One thing that is wrong with what the user gave us: a value, not an exception, so that all are told at once. */
export interface Problem {
  readonly code: ErrorCode;
  readonly severity: Severity;
  /** One sentence naming the thing and what was found. */
  readonly message: string;
  readonly at?: Place;
  /** What would have been accepted. */
  readonly allowed?: readonly string[];
  readonly didYouMean?: string;
  /** What to do, when the message alone does not say it. */
  readonly fix?: string;
}

/** The stable contract of the command line. 2 is for `plan` and `compare` with `--detailed-exitcode`. */
export const exitCodes = {
  success: 0,
  unexpected: 1,
  differences: 2,
  invalidInput: 10,
  environmentNotReady: 11,
  allTrialsFailed: 12,
  assertionFailed: 20,
  regression: 21,
  inconclusive: 22,
  capped: 30,
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

interface CatalogueEntry {
  /** What it means, in one sentence. Shown by `dmas-opt explain CODE`. */
  readonly title: string;
  /** What usually mends it. */
  readonly help: string;
  readonly exitCode: ExitCode;
}

const { invalidInput, environmentNotReady, unexpected, interrupted, allTrialsFailed } = exitCodes;

/** Every error the tool can give, in one place. Codes are stable; texts may improve. */
export const errorCatalogue = {
  DMAS_FILE_UNREADABLE: { title: 'A file could not be read.', help: 'Check the path and its permissions.', exitCode: invalidInput },
  DMAS_CFG_SYNTAX: {
    title: 'The scenario, or a workflow file it names, is not valid YAML.',
    help: 'Mend the YAML at the place shown.',
    exitCode: invalidInput,
  },
  DMAS_CFG_UNKNOWN_KEY: {
    title: 'The scenario has a key that does not exist.',
    help: 'Remove it or correct its spelling.',
    exitCode: invalidInput,
  },
  DMAS_CFG_INVALID_VALUE: {
    title: 'A value in the scenario is not of the expected form.',
    help: 'Use a value as described in the schema.',
    exitCode: invalidInput,
  },
  DMAS_CFG_MISSING_KEY: { title: 'A key without a default is missing.', help: 'Add the key.', exitCode: invalidInput },
  DMAS_CFG_MISSING_ENV: {
    title: 'An environment variable named in the scenario is not set.',
    help: 'Set it, or give a default: ${env:NAME:-default}.',
    exitCode: invalidInput,
  },
  DMAS_CFG_UNKNOWN_AGENT: {
    title: 'The scenario names an agent or tool server the workflow does not have.',
    help: 'Use one of the names listed.',
    exitCode: invalidInput,
  },
  DMAS_CFG_UNKNOWN_CHANNEL: {
    title: 'The scenario names a channel the workflow does not have.',
    help: 'Use one of the channels listed.',
    exitCode: invalidInput,
  },
  DMAS_CFG_UNKNOWN_MODEL: {
    title: 'The scenario binds a model no agent uses.',
    help: 'Remove it or correct its name.',
    exitCode: invalidInput,
  },
  DMAS_CFG_UNKNOWN_PROTOCOL: {
    title: 'The scenario names a protocol that does not exist.',
    help: 'Use one of the protocols listed.',
    exitCode: invalidInput,
  },
  DMAS_CFG_UNKNOWN_TARGET: {
    title: 'The scenario names a target that does not exist.',
    help: 'Use one of the targets listed.',
    exitCode: invalidInput,
  },
  DMAS_CFG_UNKNOWN_CLASS: {
    title: 'The scenario names a request class the workload does not have.',
    help: 'Use one of the classes listed.',
    exitCode: invalidInput,
  },
  DMAS_CFG_CONTRADICTION: { title: 'Two parts of the scenario cannot both hold.', help: 'Change one of them.', exitCode: invalidInput },
  DMAS_CFG_UNENFORCEABLE: {
    title: 'The scenario searches a limit this target cannot enforce.',
    help: 'Remove it from the search or choose another target.',
    exitCode: invalidInput,
  },
  DMAS_CFG_OVER_LIMIT: {
    title: 'The workload offers more than an external agent or a shared model pool may be given.',
    help: 'Lower the arrivals, or raise maxRate or maxRequestsPerSecond if its owner agrees.',
    exitCode: invalidInput,
  },
  DMAS_WF_ELSEWHERE: {
    title: 'The scenario does not say how an agent that runs elsewhere is run or reached, or says it of one that is ours.',
    help: 'Give each of them an entry under agents: a command, an image or external.',
    exitCode: invalidInput,
  },
  DMAS_WF_LOAD: { title: 'The workflow could not be loaded.', help: 'Mend the workflow file at the place shown.', exitCode: invalidInput },
  DMAS_WF_NO_WORKFLOW: {
    title: 'The file exports no workflow.',
    help: 'Export one: export default workflow({ … }).',
    exitCode: invalidInput,
  },
  DMAS_WF_DUPLICATE: { title: 'Two parts of the workflow have one name.', help: 'Rename one of them.', exitCode: invalidInput },
  DMAS_WF_BAD_NAME: {
    title: 'A part of the workflow has a name that does not fit everywhere it must stand.',
    help: 'Use lower-case letters, digits and dashes.',
    exitCode: invalidInput,
  },
  DMAS_WF_BAD_HOST: {
    title: 'A part of the workflow declares an outside host that is none.',
    help: 'Write host and port, such as api.example.com:443, without wildcards.',
    exitCode: invalidInput,
  },
  DMAS_WF_UNKNOWN_AGENT: {
    title: 'An agent refers to an agent or tool that has no implementation in the workflow.',
    help: 'Add its implementation to parts, or remove the reference.',
    exitCode: invalidInput,
  },
  DMAS_WF_NOT_EXPORTED: {
    title: 'A part of the workflow is not exported from its module, so it cannot be placed alone.',
    help: 'Export it under a name.',
    exitCode: invalidInput,
  },
  DMAS_WF_UNBOUND_MODEL: {
    title: 'An agent uses a model the scenario does not bind.',
    help: 'Bind it under models.',
    exitCode: invalidInput,
  },
  DMAS_WF_UNREACHABLE: {
    title: 'A part of the workflow can never be reached from the entry.',
    help: 'Connect it or remove it.',
    exitCode: invalidInput,
  },
  DMAS_WF_UNBOUNDED_LOOP: { title: 'A loop in a graph has no bound.', help: 'Give the graph maxSteps.', exitCode: invalidInput },
  DMAS_WF_BAD_JOIN: {
    title: 'A join waits for nodes that no single fork starts.',
    help: 'Join exactly the branches of one fork.',
    exitCode: invalidInput,
  },
  DMAS_WF_UNSUPPORTED: {
    title: 'A framework feature cannot be run here.',
    help: 'The message says which and why; the fix says what to use in its place.',
    exitCode: invalidInput,
  },
  DMAS_WF_SHARED_STATE: {
    title: 'A module keeps state in a variable, which agents share only while they are in one process.',
    help: 'Keep it in the session or on a blackboard, or make it a constant.',
    exitCode: invalidInput,
  },
  DMAS_WF_LANGGRAPH: {
    title: 'A LangGraph.js application cannot be taken apart.',
    help: 'See docs/langgraph.md for what works; run it in one piece as an agent that runs elsewhere if it cannot be changed.',
    exitCode: invalidInput,
  },
  DMAS_PLAN_UNPLACEABLE: {
    title: 'A configuration cannot be realized.',
    help: 'Change the configuration as the message says.',
    exitCode: invalidInput,
  },
  DMAS_BUNDLE: { title: 'A unit could not be bundled.', help: 'Mend the source at the place shown.', exitCode: invalidInput },
  DMAS_CLI_USAGE: { title: 'The command line is not valid.', help: 'See dmas-opt help.', exitCode: invalidInput },
  DMAS_CASSETTE_DAMAGED: {
    title: 'A cassette holds lines that are no entries, or that were changed after they were recorded.',
    help: 'dmas-opt cassette check lists every one; dmas-opt cassette merge keeps the lines that are whole.',
    exitCode: invalidInput,
  },
  DMAS_CASSETTE_NO_REPLIES: {
    title: 'A cassette was recorded without replies, so it cannot be replayed.',
    help: 'Record again with record: { content: replies }, or let made-up replies of the recorded sizes do: onMiss: simulate.',
    exitCode: invalidInput,
  },
  DMAS_RECORD_PERMISSION: {
    title: 'Nothing says whether replies may be stored.',
    help: 'Write record: { content: replies } into the scenario, or hash to keep sizes and hashes alone.',
    exitCode: invalidInput,
  },
  DMAS_RECORD_INCOMPLETE: {
    title: 'Some inputs had no answer while they were recorded.',
    help: 'What was answered is in the cassette. Mend the cause and record again: entries only add up.',
    exitCode: environmentNotReady,
  },
  DMAS_ENGINE_FILE: {
    title: 'A log, table or setting of a serving engine is not of the expected form.',
    help: 'Mend the file at the place shown; docs/engine.md says what it must hold.',
    exitCode: invalidInput,
  },
  DMAS_RUN_NOT_FOUND: { title: 'There is no such run.', help: 'See dmas-opt list.', exitCode: invalidInput },
  DMAS_RUN_CORRUPT: {
    title: 'A run folder is damaged or was written by a newer version.',
    help: 'See the message; start a new run if it cannot be mended.',
    exitCode: invalidInput,
  },
  DMAS_RUN_BUSY: {
    title: 'Another dmas-opt process is working on this run.',
    help: 'Wait for it to end, or stop it.',
    exitCode: environmentNotReady,
  },
  DMAS_ENV_TARGET: { title: 'The target is not ready.', help: 'Run dmas-opt doctor.', exitCode: environmentNotReady },
  DMAS_ENV_COMMAND: {
    title: 'A command the scenario names cannot be started here.',
    help: 'Install it, or correct agents.<name>.command and its folder.',
    exitCode: environmentNotReady,
  },
  DMAS_ENV_MODEL: { title: 'A model endpoint is not ready.', help: 'Run dmas-opt doctor.', exitCode: environmentNotReady },
  DMAS_MODEL_PROBE: {
    title: 'A model endpoint could not be probed.',
    help: 'It must stream chat completions with usage under the model name given; the message says what it answered.',
    exitCode: environmentNotReady,
  },
  DMAS_ENV_DISK: {
    title: 'The disk is full or not writable.',
    help: 'Free space, then dmas-opt resume: no finished block is lost.',
    exitCode: environmentNotReady,
  },
  DMAS_DEPLOY_FAILED: {
    title: 'A deployment did not become ready.',
    help: 'See the log of the unit named.',
    exitCode: environmentNotReady,
  },
  DMAS_DEPLOY_NO_ROOM: {
    title: 'A layout asks for more than the place it is to be deployed to has left.',
    help: 'Search smaller layouts, or raise the quota or limit that the message names.',
    exitCode: environmentNotReady,
  },
  DMAS_UPDATE_ROLLED_BACK: {
    title: 'A new layout was taken back because it did not keep its promises while it was watched.',
    help: 'The old layout serves, and no request was dropped. The message says which limit broke or what crashed; see docs/apply.md.',
    exitCode: exitCodes.assertionFailed,
  },
  DMAS_LIVE_NOT_FOUND: {
    title: 'There is no such running deployment, or it does not answer.',
    help: 'dmas-opt deploy starts one; --deployment names one of several.',
    exitCode: environmentNotReady,
  },
  DMAS_LIVE_BUSY: {
    title: 'The running deployment is being changed already.',
    help: 'Wait until that is over, or interrupt it.',
    exitCode: environmentNotReady,
  },
  DMAS_EXPORT: {
    title: 'A layout cannot be written in this format.',
    help: 'The message names what the format has no words for. Choose another format or another layout.',
    exitCode: invalidInput,
  },
  DMAS_JOB_FAILED: {
    title: 'A job on the target failed.',
    help: 'See the last lines of its log in the message.',
    exitCode: environmentNotReady,
  },
  DMAS_TRIALS_FAILED: { title: 'Every trial failed.', help: 'See the reason of each trial in the report.', exitCode: allTrialsFailed },
  DMAS_LOAD_TOO_SHORT: {
    title: 'A log is too short to fit anything to.',
    help: 'Give a longer log; the message says how many entries are needed. A short log of arrivals can still be played with process: log.',
    exitCode: invalidInput,
  },
  DMAS_TRACES_EMPTY: {
    title: 'No span could be read from any of the traces given.',
    help: 'Give OTLP (JSON or protobuf) or Jaeger JSON; the reason for each file is in the message.',
    exitCode: invalidInput,
  },
  DMAS_INTERRUPTED: { title: 'The run was interrupted.', help: 'Go on with dmas-opt resume.', exitCode: interrupted },
  DMAS_INTERNAL: {
    title: 'Something went wrong inside dmas-opt.',
    help: 'Please report it with the stack shown by DMAS_OPT_DEBUG=1.',
    exitCode: unexpected,
  },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof errorCatalogue;

/** Thrown for a broken environment or input that stops a stage. Expected outcomes are `Problem[]` or trial states. */
export class DmasError extends Error {
  readonly code: ErrorCode;
  readonly problems: readonly Problem[];
  constructor(problems: Problem | readonly Problem[], options?: { cause?: unknown }) {
    const list = Array.isArray(problems) ? (problems as readonly Problem[]) : [problems as Problem];
    const first = list[0];
    if (!first) throw new TypeError('a DmasError needs at least one problem');
    super(list.map((problem) => problem.message).join('\n'), options);
    this.name = 'DmasError';
    this.code = first.code;
    this.problems = list;
  }
}

const diskErrors: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EFBIG', 'EIO']);

/** Whether an error of Node.js says that a disk is full, at its limit, read-only or broken: nothing of the user's code. */
export const isDiskError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && 'code' in error && diskErrors.has(error.code);

/** Short form for the common case of one error. */
export function fail(code: ErrorCode, message: string, rest: Partial<Problem> & { cause?: unknown } = {}): never {
  const { cause, ...more } = rest;
  throw new DmasError({ code, severity: 'error', message, ...more }, { cause });
}
