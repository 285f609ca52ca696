import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Json, Problem } from '../compiler/contracts/index.ts';
import { parseReplies } from '../runtime/llm/server/replies.ts';
import type { Scenario } from '../scenarios/schema.ts';

/** Reply scripts of simulated models, by model, as the planner wants them. */
export async function readReplies(
  scenario: Scenario,
): Promise<{ readonly replies: { readonly [model: string]: Json }; readonly problems: readonly Problem[] }> {
  const replies: Record<string, Json> = {};
  const problems: Problem[] = [];
  for (const [model, { replies: file }] of Object.entries(scenario.config.models)) {
    if (file === undefined) continue;
    try {
      const script = JSON.parse(await readFile(resolve(scenario.folder, file), 'utf8')) as Json;
      parseReplies(script);
      replies[model] = script;
    } catch (error) {
      const at = { file: scenario.file, ...scenario.places[`models.${model}.replies`] };
      problems.push({
        code: 'DMAS_FILE_UNREADABLE',
        severity: 'error',
        message: `${file}: ${(error as Error).message}`,
        at,
        fix: 'see docs/models.md for the form of a reply script',
      });
    }
  }
  return { replies, problems };
}
