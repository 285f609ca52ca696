import { type Block, type BlockFault, blockFaults, type Profile, type RefusedCalls, type Study } from '../compiler/contracts/index.ts';
import type { ReportTrial, ReportWarning } from './report.ts';

/** What mends each fault; the list is closed, so every warning has advice. */
const remedies: { readonly [fault in BlockFault]: string } = {
  'host-bound': 'Lower the rate, run on more cores, or stop what else runs on this host.',
  'driver-lag': 'The load driver could not keep up: lower the rate or free a core for it.',
  'load-not-delivered': 'The application could not take the load offered: lower the rate or allow more replicas.',
  'component-missing': 'A component sent no spans: check that it is reached by the inputs and that nothing drops its traces.',
  errors: 'Look at the logs of the units in the run folder; where requests paused, give their class replies under humans.',
  'no-samples': 'Lengthen workload.duration or raise the rate.',
  'broken-traces': 'Spans were lost: lower the sampling or the rate.',
  'replay-misses': 'Record again with the present inputs.',
  'replica-lost': 'A replica died in the block: see its log in the run folder.',
  'pool-limit': 'A shared model pool came near its declared limit and the load was taken off: measure at a lower rate or another time.',
  interrupted: 'Go on with dmas-opt resume.',
};

export function warningsOf(study: Study, profile: Profile | null, trials: readonly ReportTrial[]): ReportWarning[] {
  const warnings: ReportWarning[] = [];
  // A capacity block is meant to saturate.
  const blocks = [...study.blocks.values()].filter((block) => block.purpose !== 'capacity');
  for (const fault of blockFaults) {
    const hit = blocks.filter((block) => block.quality.faults.some((each) => each.fault === fault));
    const example = hit[0]?.quality.faults.find((each) => each.fault === fault)?.detail;
    if (hit.length > 0)
      warnings.push({ code: fault, message: `${hit.length} of ${blocks.length} blocks: ${example}`, advice: remedies[fault] });
  }
  if (profile && profile.traces.unbrokenShare < 1) {
    const share = ((1 - profile.traces.unbrokenShare) * 100).toFixed(1);
    warnings.push({
      code: 'broken-traces',
      message: `${share} % of the profiled requests have a broken trace`,
      advice: remedies['broken-traces'],
    });
  }
  for (const trial of trials.filter((each) => each.failure)) {
    warnings.push({
      code: 'trial-failed',
      message: `${trial.label}: ${trial.failure?.message}`,
      advice: 'The study went on without it; its logs are in the run folder.',
    });
  }
  warnings.push(...replayWarnings(blocks), ...refusalWarnings([...study.blocks.values()]));
  if (blocks.some((block) => block.provenance === 'simulated')) {
    warnings.push({
      code: 'simulated-model',
      message: 'A model is simulated: latencies and money that depend on it are simulated, not measured.',
      advice: 'Bind a real endpoint under models to measure it.',
    });
  }
  return warnings;
}

/** What mends a refusal; of the others the message says enough. */
const refusalRemedies: { readonly [reason: string]: string } = {
  undeclared: 'If it may, write the place under rights.hosts of the agent or tool that needs it.',
  private: 'If it may, write the network of that address under rights.networks.',
  'unknown-name': 'Mend the name, or the name servers of where the egress service runs.',
  busy: 'Lower the rate: this many connections at once are not let out of one unit.',
};

/** One for each unit, place and reason: units have other names in other layouts, so the counts are of one layout each. */
function refusalWarnings(blocks: readonly Block[]): ReportWarning[] {
  const counts = new Map<string, RefusedCalls>();
  for (const calls of blocks.flatMap(({ refusals = [] }) => refusals)) {
    const key = JSON.stringify([calls.caller, calls.place, calls.reason]);
    counts.set(key, { ...calls, count: calls.count + (counts.get(key)?.count ?? 0) });
  }
  return [...counts.values()].map(({ caller, place, reason, count }) => ({
    code: 'call-refused',
    message: `${count} ${count === 1 ? 'call' : 'calls'} of ${caller} to ${place || 'a place that could not be read'} ${count === 1 ? 'was' : 'were'} refused (${reason}).`,
    advice: refusalRemedies[reason] ?? 'See the log of egress in the run folder.',
  }));
}

/** What a reader of replayed numbers must know. */
function replayWarnings(blocks: readonly Block[]): ReportWarning[] {
  const facts = blocks.flatMap((block) => block.replay ?? []);
  const sum = (key: 'requests' | 'throttled' | 'ambiguous' | 'synthetic') => facts.reduce((total, each) => total + each[key], 0);
  const calls = sum('requests');
  const warnings: ReportWarning[] = [];
  const say = (code: string, count: number, message: string, advice: string) => {
    if (count > 0) warnings.push({ code, message: `${count} ${message}`, advice });
  };
  say(
    'replay-throttled',
    sum('throttled'),
    `calls (${calls} were answered) were refused by the quotas of models.<name>.limits.`,
    'Raise the quota, or lower the rate.',
  );
  say(
    'replay-ambiguous',
    sum('ambiguous'),
    `of ${calls} replayed calls fitted several recordings with different replies; one was taken, always the same.`,
    'Questions that differ in times or ids alone cannot be told apart: name them otherwise.',
  );
  say(
    'replay-synthetic',
    sum('synthetic'),
    `of ${calls} replayed calls were answered by made-up replies.`,
    'Record again with record: { content: replies } and the present inputs.',
  );
  return warnings;
}
