import {
  type Arena,
  type Block,
  type BlockRequest,
  type Configuration,
  DmasError,
  type Laboratory,
  type SpanRecord,
  type StageContext,
} from '../../compiler/contracts/index.ts';
import type { Budget } from '../study/budget.ts';
import type { Recorder } from '../study/recorder.ts';

/** A configuration that takes part. */
export interface Arm {
  readonly configurationId: string;
  readonly configuration: Configuration;
  readonly label: string;
}

/** What measuring needs. */
export interface BenchTools {
  readonly laboratory: Laboratory;
  readonly recorder: Recorder;
  readonly budget: Budget;
  readonly context: StageContext;
}

/** Deployments side by side on which blocks are run; deployed when the first block is needed. */
export interface Bench {
  /** The block from the journal, or measured now; null when the arm has failed. */
  block(arm: Arm, request: Omit<BlockRequest, 'configurationId'>): Promise<{ block: Block; spans: readonly SpanRecord[] | null } | null>;
  close(): Promise<void>;
}

/** The user wants to stop. Not a failure of anything. */
export class Interrupted extends Error {
  constructor() {
    super('interrupted');
    this.name = 'Interrupted';
  }
}

export const throwIfInterrupted = (signal: AbortSignal): void => {
  if (signal.aborted) throw new Interrupted();
};

export const hasFailed = (recorder: Recorder, configurationId: string): boolean =>
  recorder.find('trial-failed', (entry) => entry.configurationId === configurationId) !== undefined;

export function openBench(arms: readonly Arm[], tools: BenchTools): Bench {
  const { recorder, budget, context } = tools;
  let live: Arena | null = null;
  let opening: Promise<void> | undefined;
  const keep = (arena: Arena) => {
    live = arena;
  };

  const measure = async (arm: Arm, request: BlockRequest) => {
    throwIfInterrupted(context.signal);
    opening ??= deploy(arms, tools, keep);
    await opening;
    const arena = live;
    if (arena === null || hasFailed(recorder, arm.configurationId)) return null;
    throwIfInterrupted(context.signal);
    const length = (request.warmupMs + request.durationMs) / 1000;
    context.emit({ type: 'block-started', blockId: request.id, label: arm.label, seconds: length });
    const startMs = context.now();
    const measured = await attempt(tools, [arm], () => arena.block(request, context.signal));
    if (measured === null) return null;
    // While the user stops everything a block may end early or lose its peers: that is no measurement, and no fault of
    // the layout either. Resume runs it again under the same id.
    if (context.signal.aborted && !measured.block.quality.valid) throw new Interrupted();
    const { block } = await recorder.record({ type: 'block-finished', block: measured.block });
    budget.observe('block', context.now() - startMs);
    tell(context, arm, block, false);
    const remainingSeconds = Math.max(0, budget.remainingMs() / 1000);
    context.emit({ type: 'spent', usd: budget.spentUsd(), seconds: recorder.spentMs() / 1000, remainingSeconds });
    return { block, spans: measured.spans };
  };

  return {
    block: async (arm, rest) => {
      const known = recorder.study.blocks.get(rest.id);
      if (known !== undefined) {
        tell(context, arm, known, true);
        return { block: known, spans: null };
      }
      if (hasFailed(recorder, arm.configurationId)) return null;
      return measure(arm, { ...rest, configurationId: arm.configurationId });
    },
    close: async () => {
      await opening?.catch(() => undefined);
      const arena = live;
      live = null;
      await arena?.close().catch((error: unknown) => {
        context.emit({ type: 'notice', severity: 'warning', message: `closing deployments: ${messageOf(error)}` });
      });
      await hold(tools, []);
    },
  };
}

async function deploy(arms: readonly Arm[], tools: BenchTools, keep: (arena: Arena) => void): Promise<void> {
  const { laboratory, recorder, budget, context } = tools;
  const standing = arms.filter((arm) => !hasFailed(recorder, arm.configurationId));
  if (standing.length === 0) return;
  const startMs = context.now();
  for (const { configurationId, label } of standing) context.emit({ type: 'deploying', configurationId, label });
  const configurations = standing.map((arm) => arm.configuration);
  await hold(tools, standing);
  const arena = await attempt(tools, standing, () => laboratory.openArena(configurations, context.signal));
  if (arena === null) return;
  // Kept before anything else can fail, so that it is closed whatever happens.
  keep(arena);
  throwIfInterrupted(context.signal);
  budget.observe('deploy', context.now() - startMs);
  for (const failure of arena.failures) {
    const arm = standing.find((candidate) => candidate.configurationId === failure.configurationId);
    await failed(tools, arm, failure);
  }
  await hold(
    tools,
    standing.filter((arm) => !hasFailed(recorder, arm.configurationId)),
  );
}

/** GPUs that deployments of these hold together; of none: what is kept for the next arena. */
export const gpusOf = ({ laboratory }: Pick<BenchTools, 'laboratory'>, arms: readonly Arm[]): number =>
  (arms.length === 0 ? laboratory.gpusKept?.() : laboratory.gpusOf?.(arms.map(({ configuration }) => configuration))) ?? 0;

/** Ends whatever stands, and writes down that no GPU is held any more. */
export async function leave(tools: BenchTools): Promise<void> {
  await tools.laboratory.close?.().catch((error: unknown) => {
    tools.context.emit({ type: 'notice', severity: 'warning', message: `closing deployments: ${messageOf(error)}` });
  });
  await hold(tools, []);
}

/** Writes down how many GPUs are held from now on, where that changes. */
async function hold({ recorder, laboratory }: BenchTools, arms: readonly Arm[]): Promise<void> {
  const gpus = gpusOf({ laboratory }, arms);
  if (gpus !== recorder.gpus().held) await recorder.record({ type: 'gpus-held', gpus });
}

/** A failure is data: it is written down against the arms, and null comes back. A full disk and Ctrl-C go through. */
async function attempt<T>(tools: BenchTools, arms: readonly Arm[], action: () => Promise<T>): Promise<T | null> {
  try {
    return await action();
  } catch (error) {
    if (tools.context.signal.aborted) throw new Interrupted();
    const code = error instanceof DmasError ? error.code : 'DMAS_INTERNAL';
    if (code === 'DMAS_ENV_DISK') throw error;
    const message = messageOf(error);
    for (const arm of arms) await failed(tools, arm, { configurationId: arm.configurationId, code, message });
    return null;
  }
}

async function failed(tools: BenchTools, arm: Arm | undefined, failure: Arena['failures'][number]): Promise<void> {
  await tools.recorder.record({ type: 'trial-failed', ...failure });
  const { configurationId, message } = failure;
  tools.context.emit({ type: 'trial-failed', configurationId, label: arm?.label ?? configurationId, message });
}

function tell(context: StageContext, arm: Arm, block: Block, reused: boolean): void {
  const main = Object.values(block.classes)[0]?.latencyMs ?? null;
  context.emit({
    type: 'block-finished',
    blockId: block.id,
    label: arm.label,
    valid: block.quality.valid,
    p50Ms: main?.p50 ?? null,
    p95Ms: main?.p95 ?? null,
    usdPer1000: Number.isFinite(block.money.usdPer1000Requests) ? block.money.usdPer1000Requests : null,
    reused,
  });
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
