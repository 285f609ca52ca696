import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { DmasError, type Place, type Problem } from '../compiler/contracts/index.ts';
import { offeredPerSecond, type Workload } from '../profiler/load/workload.ts';
import { findExecutable } from '../runtime/targets/process/program.ts';
import type { Scenario } from '../scenarios/schema.ts';
import type { Project } from './project.ts';

type At = (path: string) => Place;

/** Folders commands run in must be there before anything starts. */
export function checkFolders(scenario: Scenario, at: At): Problem[] {
  return Object.entries(scenario.config.agents).flatMap(([name, { command, folder }]) => {
    if (command === undefined || statSync(resolve(scenario.folder, folder), { throwIfNoEntry: false })?.isDirectory()) return [];
    const message = `agents.${name}: there is no folder ${folder} to run the command in`;
    return { code: 'DMAS_FILE_UNREADABLE' as const, severity: 'error' as const, message, at: at(`agents.${name}.folder`) };
  });
}

/** Commands that cannot be started here: told once, before every layout fails with it. */
export function checkCommands({ scenario, target }: Pick<Project, 'scenario' | 'target'>): readonly Problem[] {
  if (target.traits.programs !== 'command') return [];
  return Object.entries(scenario.config.agents).flatMap(([name, { command, folder, env }]) => {
    const [file] = command ?? [];
    if (file === undefined) return [];
    try {
      findExecutable(file, resolve(scenario.folder, folder), env.PATH ?? process.env.PATH ?? '', name);
      return [];
    } catch (error) {
      if (!(error instanceof DmasError)) throw error;
      const at = { file: scenario.file, ...(scenario.places[`agents.${name}.command.0`] ?? scenario.places[`agents.${name}`]) };
      return error.problems.map((problem) => ({ ...problem, at }));
    }
  });
}

/**
 * A load that an external component may not be given cannot be measured: it would queue before the limit for ever. A
 * class of a fixed number of clients is held back by the limit itself.
 */
export function checkOffered(scenario: Scenario, workload: Workload | undefined, at: At): Problem[] {
  const rates = (workload?.classes ?? []).map(({ arrivals }) => offeredPerSecond(arrivals) ?? 0);
  const offered = rates.reduce((sum, rate) => sum + rate, 0);
  return Object.entries(scenario.config.agents).flatMap(([name, { external }]) => {
    if (external === undefined || offered * external.callsPerRequest <= external.maxRate) return [];
    const calls = external.callsPerRequest === 1 ? '' : ` with ${external.callsPerRequest} calls each`;
    return {
      code: 'DMAS_CFG_OVER_LIMIT' as const,
      severity: 'error' as const,
      message: `the workload offers ${Number(offered.toFixed(2))} requests/s${calls}, but the external "${name}" may be given ${external.maxRate} calls/s`,
      at: at(`agents.${name}.external.maxRate`),
      fix: 'lower the arrivals; if only some requests call it, say so with external.callsPerRequest',
    };
  });
}
