import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import type { Problem } from '../compiler/contracts/index.ts';
import { substituteEnvironment } from './environment.ts';
import { issuesToProblems } from './issues.ts';
import { type Scenario, scenarioSchema } from './schema.ts';
import { parseSource } from './source.ts';

export interface LoadedScenario {
  readonly scenario?: Scenario;
  readonly problems: readonly Problem[];
  /** The file's text, for showing a problem in its surroundings. */
  readonly text: string;
}

/** Reads, substitutes, validates and fills in a scenario; every problem of the file at once, none thrown. */
export async function loadScenario(file: string, environment: { readonly [name: string]: string | undefined }): Promise<LoadedScenario> {
  const path = resolve(file);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'no such file' : (error as Error).message;
    return {
      problems: [{ code: 'DMAS_FILE_UNREADABLE', severity: 'error', message: `${file}: ${reason}`, fix: 'dmas-opt init makes a scenario' }],
      text: '',
    };
  }
  return parseScenario(path, text, environment);
}

/** The pure part of {@link loadScenario}. `path` is absolute. */
export function parseScenario(path: string, text: string, environment: { readonly [name: string]: string | undefined }): LoadedScenario {
  const source = parseSource(path, text, (scalar) => substituteEnvironment(scalar, environment));
  if (source.problems.some((problem) => problem.code === 'DMAS_CFG_SYNTAX')) return { problems: source.problems, text };
  if (source.value === null || typeof source.value !== 'object' || Array.isArray(source.value)) {
    const message = 'a scenario is a mapping with at least the key workflow';
    return { problems: [{ code: 'DMAS_CFG_SYNTAX', severity: 'error', message, at: { file: path, line: 1, column: 1 } }], text };
  }
  const parsed = scenarioSchema.safeParse(source.value);
  const issues = parsed.success ? [] : issuesToProblems(parsed.error.issues, source, path, scenarioSchema);
  if (!parsed.success || source.problems.length > 0) return { problems: inFileOrder([...source.problems, ...issues]), text };
  const folder = dirname(path);
  const scenario: Scenario = {
    schemaVersion: 1,
    file: path,
    folder,
    sha256: createHash('sha256').update(text).digest('hex'),
    name: parsed.data.name ?? nameOfFolder(folder),
    config: parsed.data,
    places: source.places(),
  };
  return { scenario, problems: [], text };
}

function nameOfFolder(folder: string): string {
  const name = basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return /^[a-z]/.test(name) ? name : 'application';
}

/** One problem per place (a missing variable would otherwise also be a value of the wrong form), top to bottom. */
function inFileOrder(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>();
  const place = (problem: Problem) => `${problem.at?.line}:${problem.at?.column}`;
  return problems
    .filter((problem) => {
      const fresh = !seen.has(place(problem)) || problem.code !== 'DMAS_CFG_INVALID_VALUE';
      seen.add(place(problem));
      return fresh;
    })
    .sort((a, b) => (a.at?.line ?? 0) - (b.at?.line ?? 0) || (a.at?.column ?? 0) - (b.at?.column ?? 0));
}
