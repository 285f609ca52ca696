import type { StudyBudget, StudyTiming } from './input.ts';
import type { Recorder } from './recorder.ts';

export type Cap = 'time' | 'trials' | 'money' | 'gpu-hours';

/** What is left to spend, and what blocks and deployments have taken so far. */
export interface Budget {
  remainingMs(): number;
  spentUsd(): number;
  /** Expected wall time of one block or one arena on this machine. */
  readonly blockMs: () => number;
  readonly deployMs: () => number;
  observe(what: 'block' | 'deploy', tookMs: number): void;
  /**
   * The cap that so many more blocks (and this much further time) would break; null when they fit.
   * @param gpus held meanwhile; absent: those that are held now
   */
  wouldBreak(blocks: number, furtherMs?: number, gpus?: number): { readonly cap: Cap; readonly detail: string } | null;
}

/** Beside warm-up and duration: start of the driver, draining, collecting. Until the first block has been seen. */
export const assumedBlockOverheadMs = 700;
/** Bundling, start and readiness of an arena; until the first one has been seen. */
export const assumedDeployMs = 3_000;

export function createBudget(recorder: Recorder, limits: StudyBudget, timing: StudyTiming): Budget {
  const seen: { block: number[]; deploy: number[] } = { block: [], deploy: [] };
  const typical = (values: readonly number[], assumed: number) =>
    values.length === 0 ? assumed : values.reduce((sum, value) => sum + value, 0) / values.length;
  const blockMs = () => typical(seen.block, timing.warmupMs + timing.durationMs + assumedBlockOverheadMs);
  const spentUsd = () => [...recorder.study.blocks.values()].reduce((sum, block) => sum + block.money.totalUsd, 0);
  const deployMs = () => typical(seen.deploy, assumedDeployMs);
  const remainingMs = () => limits.timeMs - recorder.spentMs();
  return {
    remainingMs,
    spentUsd,
    blockMs,
    deployMs,
    observe: (what, tookMs) => void seen[what].push(tookMs),
    wouldBreak: (blocks, furtherMs = 0, gpus = recorder.gpus().held) => {
      const needMs = blocks * blockMs() + furtherMs;
      if (needMs > remainingMs()) {
        const left = Math.max(0, remainingMs());
        return { cap: 'time', detail: `${seconds(needMs)} more do not fit into the ${seconds(left)} left of ${seconds(limits.timeMs)}` };
      }
      const dearest = Math.max(0, ...[...recorder.study.blocks.values()].map((block) => block.money.totalUsd));
      if (limits.moneyUsd !== undefined && spentUsd() + blocks * dearest > limits.moneyUsd) {
        return { cap: 'money', detail: `${usd(spentUsd())} of ${usd(limits.moneyUsd)} are spent` };
      }
      const { held, hours } = recorder.gpus();
      const needHours = (gpus * (blocks * blockMs() + (held === 0 ? deployMs() : 0))) / 3_600_000;
      if (limits.gpuHours !== undefined && gpus > 0 && hours + needHours > limits.gpuHours) {
        const detail = `${figure(hours)} of ${figure(limits.gpuHours)} GPU-hours are spent, and ${figure(needHours)} more do not fit`;
        return { cap: 'gpu-hours', detail };
      }
      return null;
    },
  };
}

const seconds = (ms: number) => `${Math.round(ms / 1000)} s`;
const usd = (value: number) => `${value.toPrecision(3)} USD`;
const figure = (value: number) => String(Number(value.toPrecision(3)));
