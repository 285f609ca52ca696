import { configurationId, type TrialRole } from '../../compiler/contracts/index.ts';
import { type BenchTools, throwIfInterrupted } from '../race/bench.ts';
import type { StudyInput } from './input.ts';
import type { Profiled } from './profiling.ts';
import { addTrial } from './trials.ts';

/** Says how much any layout could save, before anything is searched. */
export async function tellHeadroom(input: StudyInput, profiled: Profiled, tools: BenchTools): Promise<void> {
  const { headroom } = await tools.recorder.once(
    'headroom',
    () => true,
    async () => ({ type: 'headroom', headroom: await input.planning.headroom(profiled.profile, profiled.prices, profiled.blocks) }),
  );
  tools.context.emit({ type: 'headroom', sentence: headroom.sentence });
}

/** Adds the plain layouts and the best predicted ones as trials, as many as the budget allows. */
export async function searchCandidates(input: StudyInput, profiled: Profiled, tools: BenchTools): Promise<void> {
  const { recorder, context } = tools;
  const { planning, scenario, budget } = input;
  const { profile, prices } = profiled;
  context.emit({ type: 'phase', phase: 'search', title: 'Search with the calibrated predictor' });
  if (recorder.find('searched') !== undefined) return;
  throwIfInterrupted(context.signal);
  const { best, certificate } = await planning.search(profile, prices, scenario.config.search.candidates, context.signal);
  throwIfInterrupted(context.signal);
  if (certificate.serving) {
    const { plans, unfit, saturated, dominated, cut, searched } = certificate.serving;
    const message = `${plans} ways to serve the models: ${saturated} cannot carry the load, ${dominated} are beaten by others, ${cut} are ruled out by a bound, ${searched} searched; ${unfit} settings do not fit in memory`;
    context.emit({ type: 'notice', severity: 'info', message });
  }

  const { allInOne, onePerAgent } = input.references();
  const wanted = new Map<string, { configuration: (typeof best)[number]['configuration']; roles: TrialRole[] }>();
  const want = (configuration: (typeof best)[number]['configuration'] | null, role: TrialRole) => {
    if (configuration === null) return;
    const id = configurationId(configuration);
    const known = wanted.get(id);
    if (known === undefined) wanted.set(id, { configuration, roles: [role] });
    else known.roles.push(role);
  };
  want(allInOne, 'all-in-one');
  want(onePerAgent, 'one-per-agent');
  for (const { configuration } of best) want(configuration, 'candidate');

  // Trials added before there was a profile are predicted too, so that every trial can be held against its prediction.
  for (const trial of recorder.all('trial-added')) {
    if (trial.prediction !== undefined) continue;
    const prediction = await planning.predict(trial.configuration, profile, prices);
    await recorder.once(
      'predicted',
      (entry) => entry.prediction.configurationId === prediction.configurationId,
      () => ({ type: 'predicted', prediction }),
    );
  }
  let leftOut = 0;
  for (const [id, { configuration, roles }] of wanted) {
    const trials = recorder.all('trial-added');
    if (trials.some((entry) => entry.configurationId === id)) continue;
    if (trials.length >= budget.trials) leftOut += 1;
    else await addTrial(tools, configuration, roles, { prediction: await planning.predict(configuration, profile, prices) });
  }
  if (leftOut > 0) {
    const detail = `${leftOut} layouts are left out: the budget is ${budget.trials} trials`;
    await recorder.once(
      'capped',
      (entry) => entry.phase === 'search',
      () => ({ type: 'capped', cap: 'trials', phase: 'search', detail }),
    );
  }
  const chosen = best.map(({ configuration }) => configurationId(configuration));
  const added = new Set(recorder.all('trial-added').map((entry) => entry.configurationId));
  await recorder.record({ type: 'searched', certificate, chosen: chosen.filter((id) => added.has(id)) });
}
