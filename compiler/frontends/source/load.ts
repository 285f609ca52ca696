import { randomUUID } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type BuildFailure, type BuildOptions, build, type Message } from 'esbuild';
import { packageRoot } from '../../bundle/package-root.ts';
import type { Place, Problem } from '../../contracts/index.ts';
import { resolveForLoading } from './resolve.ts';

/** One file the user wrote, with what it exports. */
export interface UserModule {
  /** Absolute. */
  readonly path: string;
  /** Relative to the folder of the workflow file, with forward slashes. */
  readonly module: string;
  readonly exports: { readonly [name: string]: unknown };
  readonly text: string;
}

export interface LoadedSource {
  /** Absolute path of the workflow file. */
  readonly file: string;
  readonly folder: string;
  /** The workflow file first, then every other user file it imports, by path. */
  readonly modules: readonly UserModule[];
}

/**
 * Runs the user's module, and gives every user file behind it with its exports, so that a definition can be found as
 * an export of the file it stands in. Packages are imported from where they are; our own API comes from this package.
 */
export async function loadSource(path: string): Promise<{ readonly source?: LoadedSource; readonly problems: readonly Problem[] }> {
  const file = resolve(path);
  const folder = dirname(file);
  try {
    const paths = await userFiles(file);
    const exports = await importAll(paths, folder);
    const modules = await Promise.all(
      paths.map(async (each, index) => ({
        path: each,
        module: relative(folder, each).split(sep).join('/'),
        exports: exports[index] ?? {},
        text: await readFile(each, 'utf8'),
      })),
    );
    return { source: { file, folder, modules }, problems: [] };
  } catch (error) {
    if (error instanceof ThrownByUser) return { problems: [error.problem] };
    const { errors } = error as Partial<BuildFailure>;
    if (errors === undefined) throw error;
    return { problems: errors.map((message) => problemOfMessage(message, folder, 'DMAS_WF_LOAD', file)) };
  }
}

const common = (folder: string): BuildOptions & { write: false; metafile: true } => ({
  bundle: true,
  write: false,
  metafile: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  absWorkingDir: folder,
  logLevel: 'silent',
  keepNames: true,
  plugins: [resolveForLoading()],
});

/** The files of the user that a module is made of: itself first, the rest sorted. */
async function userFiles(file: string): Promise<string[]> {
  const { metafile } = await build({ ...common(dirname(file)), entryPoints: [file] });
  const own = join(packageRoot, 'compiler') + sep;
  const inputs = Object.keys(metafile.inputs).map((input) => resolve(dirname(file), input));
  const others = inputs.filter((input) => input !== file && !input.startsWith(own) && /\.[cm]?[jt]sx?$/.test(input));
  return [file, ...others.sort()];
}

async function importAll(paths: readonly string[], folder: string): Promise<Record<string, unknown>[]> {
  const contents = paths.map((path, index) => `export * as m${index} from ${JSON.stringify(path)};`).join('\n');
  const { outputFiles } = await build({
    ...common(folder),
    stdin: { contents, resolveDir: folder, loader: 'js', sourcefile: 'dmas-opt-modules.js' },
    sourcemap: 'external',
    outfile: 'out.mjs',
  });
  const code = outputFiles.find((output) => output.path.endsWith('.mjs'))?.text ?? '';
  const map = outputFiles.find((output) => output.path.endsWith('.map'))?.text ?? '{}';
  const temporary = join(tmpdir(), `dmas-opt-${randomUUID()}.mjs`);
  try {
    await writeFile(temporary, code, { mode: 0o600 });
    const loaded: Record<string, unknown> = await import(/* @vite-ignore */ pathToFileURL(temporary).href);
    return paths.map((_, index) => ({ ...(loaded[`m${index}`] as Record<string, unknown>) }));
  } catch (error) {
    throw new ThrownByUser(error, temporary, JSON.parse(map), folder, paths[0] ?? folder);
  } finally {
    await rm(temporary, { force: true });
  }
}

/**
 * A package as the user's files in `folder` import it: the same copy, so that its classes are theirs. Undefined when it
 * cannot be found from there.
 */
export async function importPackage(folder: string, name: string): Promise<{ readonly [name: string]: unknown } | undefined> {
  const contents = `export * from ${JSON.stringify(name)};`;
  const stdin = { contents, resolveDir: folder, loader: 'js', sourcefile: 'dmas-opt-package.js' } as const;
  const built = await build({ ...common(folder), stdin }).catch(() => undefined);
  if (built === undefined) return undefined;
  const temporary = join(tmpdir(), `dmas-opt-${randomUUID()}.mjs`);
  try {
    await writeFile(temporary, built.outputFiles[0]?.text ?? '', { mode: 0o600 });
    return await import(/* @vite-ignore */ pathToFileURL(temporary).href);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** The user's module threw while it was imported; the place is where in their files that was. */
class ThrownByUser extends Error {
  readonly problem: Problem;
  constructor(error: unknown, temporary: string, map: SourceMapPayload, folder: string, file: string) {
    const said = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    super(said, { cause: error });
    const message = `the workflow module failed while it was loaded: ${said.replaceAll(temporary, file)}`;
    this.problem = { code: 'DMAS_WF_LOAD', severity: 'error', message, at: placeInStack(error, temporary, map, folder) ?? { file } };
  }
}

function placeInStack(error: unknown, temporary: string, map: SourceMapPayload, folder: string): Place | undefined {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const sourceMap = new SourceMap(map);
  for (const line of stack.split('\n')) {
    const at = line.indexOf(temporary);
    const [, row, column] = at < 0 ? [] : (/^:(\d+):(\d+)/.exec(line.slice(at + temporary.length)) ?? []);
    if (row === undefined || column === undefined) continue;
    const entry = sourceMap.findEntry(Number(row) - 1, Number(column) - 1);
    if (!('originalSource' in entry)) continue;
    const file = resolve(folder, entry.originalSource);
    if (file.startsWith(join(packageRoot, 'compiler'))) continue;
    return { file, line: entry.originalLine + 1, column: entry.originalColumn + 1 };
  }
  return undefined;
}

/** An esbuild message as a problem. `folder` is what its paths are relative to. */
export function problemOfMessage(message: Message, folder: string, code: 'DMAS_WF_LOAD' | 'DMAS_BUNDLE', fallback: string): Problem {
  const { location } = message;
  // A framework is the user's to install.
  const framework = /Could not resolve "(@langchain\/[\w-]+)/.exec(message.text)?.[1];
  const hint = framework === undefined ? message.notes.map((note) => note.text).join(' ') : `npm install ${framework}`;
  const at: Place =
    location === null
      ? { file: fallback }
      : {
          file: resolve(folder, location.file.replace(/^app:/, '')),
          line: location.line,
          column: location.column + 1,
          ...(location.length > 0 ? { length: location.length } : {}),
        };
  return { code, severity: 'error', message: message.text, at, ...(hint === '' ? {} : { fix: hint }) };
}
