import { openScenario } from '../project.ts';
import type { ProgressMode } from '../render/progress.ts';
import { findRunFolder, readJson } from '../run-folder.ts';
import { readStoredScenario } from '../stored-scenario.ts';
import { runSession, type SessionOptions } from '../study-session.ts';

/** Goes on where a run stopped: the journal is replayed, what stands in it is not done again. */
export async function resume(
  run: string | undefined,
  options: { readonly runs: string; readonly progress: ProgressMode; readonly keep?: boolean },
): Promise<number> {
  const folder = await findRunFolder(options.runs, run);
  const project = await openScenario(await readStoredScenario(folder));
  const session = await readJson<SessionOptions>(folder.file('session.json'));
  return runSession(project, folder, { ...session, progress: options.progress, keep: options.keep ?? false });
}
