import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BuildFailure, build } from 'esbuild';
import { type Bundle, DmasError } from '../contracts/index.ts';
import { type EntryTemplate, fillTemplate } from '../emit/unit-entry.ts';
import { problemOfMessage } from '../frontends/source/load.ts';
import { packageRoot } from './package-root.ts';
import { resolveUserCode, userNamespace } from './resolve-user-code.ts';

/** CommonJS packages ask for Node's own modules with `require`, which an ES module does not have. */
const banner = `import { createRequire as dmasOptCreateRequire } from 'node:module';\nconst require = dmasOptCreateRequire(import.meta.url);`;

interface Built {
  readonly code: string;
  /** User modules whose code is inside. */
  readonly modules: readonly string[];
  /** User files that were read, absolute, with the hash of what they held. */
  readonly files: readonly (readonly [path: string, sha256: string])[];
}
const cache = new Map<string, Promise<Built>>();

/**
 * One self-contained ES module from a generated entry. The same entry and sources give the same bytes, wherever they
 * lie. Kept in memory for as long as the user's files do not change.
 *
 * @throws DmasError `DMAS_BUNDLE`
 */
export async function bundleEntry(id: string, { text, values }: EntryTemplate, folder: string): Promise<Bundle> {
  const key = `${id}\u0000${folder}\u0000${text}`;
  const known = await cache.get(key)?.catch(() => undefined);
  const building = known !== undefined && (await unchanged(known.files)) ? Promise.resolve(known) : buildEntry(id, text, folder);
  cache.set(key, building);
  const { code: template, modules } = await building;
  const code = fillTemplate(template, values);
  return { id, code, entry: fillTemplate(text, values), sha256: sha256(code), sizeBytes: Buffer.byteLength(code), modules };
}

async function buildEntry(id: string, entry: string, folder: string): Promise<Built> {
  const entryName = `${id}.entry.ts`;
  const result = await build({
    entryPoints: [entryName],
    plugins: [resolveUserCode({ folder, entry, entryName })],
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    charset: 'utf8',
    legalComments: 'none',
    absWorkingDir: packageRoot,
    tsconfigRaw: {},
    treeShaking: true,
    banner: { js: banner },
    outfile: 'bundle.mjs',
    logLevel: 'silent',
  }).catch((error: Partial<BuildFailure>) => {
    if (error.errors === undefined) throw error;
    const problems = error.errors.map((message) => {
      const { at, ...problem } = problemOfMessage(message, folder, 'DMAS_BUNDLE', join(folder, entryName));
      const isUser = message.location?.namespace === userNamespace || message.location?.file.startsWith(`${userNamespace}:`) === true;
      // What the bundler saw of a user file is not what stands in it, so only the file can be told.
      return {
        ...problem,
        message: `unit ${id}: ${problem.message}`,
        ...(at === undefined ? {} : { at: isUser ? { file: at.file } : at }),
      };
    });
    throw new DmasError(problems, { cause: error });
  });
  const code = hideMachine(result.outputFiles[0]?.text ?? '');
  const outputs = Object.values(result.metafile.outputs);
  const inside = outputs.flatMap(({ inputs }) => Object.entries(inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0));
  const userFiles = (paths: readonly string[]) =>
    paths.filter((path) => path.startsWith(`${userNamespace}:`) && path !== `${userNamespace}:${entryName}`).map((path) => path.slice(4));
  const read = userFiles(Object.keys(result.metafile.inputs)).map((path) => join(folder, path));
  const files = await Promise.all(read.map(async (path) => [path, await hashOf(path)] as const));
  return { code, modules: userFiles(inside.map(([path]) => path)).sort(), files };
}

/** Packages are named from `node_modules` on: where that folder lies differs between a checkout and an installation. */
function hideMachine(code: string): string {
  return code
    .replace(/^(\/\/ )(?!app:)\S*?node_modules\//gm, '$1node_modules/')
    .replace(/^( {2}")[^"\n]*?node_modules\/([^"\n]+"\()/gm, '$1node_modules/$2');
}

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');
const hashOf = async (path: string) => sha256(await readFile(path).catch(() => ''));

async function unchanged(files: Built['files']): Promise<boolean> {
  const same = await Promise.all(files.map(async ([path, hash]) => (await hashOf(path)) === hash));
  return same.every(Boolean);
}
