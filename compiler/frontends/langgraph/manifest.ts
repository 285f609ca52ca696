import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import type { Problem } from '../../contracts/index.ts';
import { didYouMean } from '../../contracts/suggest.ts';
import type { Manifest, ManifestResult } from '../frontend.ts';

/**
 * Reads `langgraph.json`, as LangGraph's own command line does: `graphs` maps names to `./file.ts:export`, `env` is a file
 * of variables or the variables themselves. What the environment already has wins over both.
 *
 * @param pick name of one of the graphs; may be undefined when there is only one
 */
export async function readManifest(file: string, pick: string | undefined): Promise<ManifestResult> {
  const problem = (message: string, more: Partial<Problem> = {}): ManifestResult => ({
    problems: [{ code: 'DMAS_WF_LANGGRAPH', severity: 'error', message, at: { file }, ...more }],
  });
  const text = await readFile(file, 'utf8');
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    return problem(`langgraph.json is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const { graphs, env } = (content ?? {}) as { readonly graphs?: unknown; readonly env?: unknown };
  if (typeof graphs !== 'object' || graphs === null || Object.keys(graphs).length === 0) {
    return problem('langgraph.json names no graphs', { fix: 'add "graphs": { "agent": "./graph.ts:app" }' });
  }
  const names = Object.keys(graphs);
  const name = pick ?? (names.length === 1 ? names[0] : undefined);
  if (name === undefined || !names.includes(name)) {
    const guess = pick === undefined ? undefined : didYouMean(pick, names);
    const message =
      pick === undefined
        ? 'langgraph.json names several graphs; pick one with langgraph.json#name'
        : `langgraph.json has no graph "${pick}"`;
    return problem(message, {
      allowed: names,
      ...(guess === undefined ? {} : { didYouMean: guess }),
      at: placeOf(file, text, pick ?? 'graphs'),
    });
  }
  const entry = (graphs as { readonly [graph: string]: unknown })[name];
  const path = typeof entry === 'object' && entry !== null && 'path' in entry ? entry.path : entry;
  const [, module = '', exportName = ''] = /^(.+):([^:/\\]+)$/.exec(String(path)) ?? [];
  const at = placeOf(file, text, name);
  if (module === '') return problem(`graph "${name}" of langgraph.json is not of the form ./file.ts:export`, { at });
  const target = resolve(dirname(file), module);
  if (!existsSync(target)) return problem(`graph "${name}" of langgraph.json: ${module} does not exist`, { at });
  if (/\.py$/.test(module)) {
    return problem(`graph "${name}" of langgraph.json is written in Python`, {
      at,
      fix: 'run it as an agent that runs elsewhere (see docs)',
    });
  }
  const variables = await variablesOf(env, dirname(file));
  if (variables === undefined)
    return problem(`the file of variables ${String(env)} of langgraph.json does not exist`, { at: placeOf(file, text, 'env') });
  return { manifest: { file: target, exportName, name, environment: variables }, problems: [] };
}

async function variablesOf(env: unknown, folder: string): Promise<Manifest['environment'] | undefined> {
  if (typeof env === 'string') {
    const file = resolve(folder, env);
    if (!existsSync(file)) return undefined;
    return Object.fromEntries(Object.entries(parseEnv(await readFile(file, 'utf8'))).map(([key, value]) => [key, String(value)]));
  }
  if (typeof env !== 'object' || env === null || Array.isArray(env)) return {};
  return Object.fromEntries(Object.entries(env).map(([key, value]) => [key, String(value)]));
}

function placeOf(file: string, text: string, word: string) {
  const index = text.indexOf(JSON.stringify(word));
  if (index < 0) return { file };
  const before = text.slice(0, index);
  return { file, line: before.split('\n').length, column: index - before.lastIndexOf('\n'), length: word.length + 2 };
}
