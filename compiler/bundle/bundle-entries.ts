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

export interface EntryToBundle {
  /** Unit or service id. */
  readonly id: string;
  readonly template: EntryTemplate;
}

interface Built {
  readonly code: string;
  /** User modules whose code is inside. */
  readonly modules: readonly string[];
  /** User files that were read, absolute, with the hash of what they held. */
  readonly files: readonly (readonly [path: string, sha256: string])[];
}
const cache = new Map<string, Promise<Built>>();

/**
 * One self-contained ES module for each generated entry. The same entry and sources give the same bytes, wherever they
 * lie and whatever is bundled beside. Kept in memory for as long as the user's files do not change.
 *
 * @param folder what relative imports of the entries start from
 * @throws DmasError `DMAS_BUNDLE`
 */
export async function bundleEntries(entries: readonly EntryToBundle[], folder: string): Promise<Bundle[]> {
  const keyOf = ({ id, template }: EntryToBundle) => `${id}\u0000${folder}\u0000${template.text}`;
  const fresh = await Promise.all(entries.map(async (entry) => isFresh(await cache.get(keyOf(entry))?.catch(() => undefined))));
  const stale = entries.filter((_, index) => !fresh[index]);
  if (stale.length > 0) {
    const building = buildAll(stale, folder);
    stale.forEach((entry, index) => {
      const built = building.then((list) => list[index] ?? Promise.reject(new Error(`nothing was built for ${entry.id}`)));
      // A failure is told by `building`; kept here it is only a reason to build again.
      built.catch(() => {});
      cache.set(keyOf(entry), built);
    });
    await building;
  }
  return Promise.all(
    entries.map(async (entry) => {
      const { id, template } = entry;
      const built = await cache.get(keyOf(entry));
      if (built === undefined) throw new Error(`nothing was built for ${id}`);
      const code = fillTemplate(built.code, { ...template.values, ...template.hidden });
      const text = fillTemplate(template.text, template.values);
      return { id, code, entry: text, sha256: sha256(code), sizeBytes: Buffer.byteLength(code), modules: built.modules };
    }),
  );
}

/** One run of esbuild for all: it reads and parses each file once and links every entry by itself. */
async function buildAll(entries: readonly EntryToBundle[], folder: string): Promise<Built[]> {
  const names = new Map(entries.map(({ id, template }) => [`${id}.entry.ts`, template.text]));
  const result = await build({
    entryPoints: [...names.keys()],
    plugins: [resolveUserCode(folder, names)],
    bundle: true,
    splitting: false,
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
    outdir: 'bundles',
    logLevel: 'silent',
  }).catch((error: Partial<BuildFailure>) => {
    if (error.errors === undefined) throw error;
    throw new DmasError(
      error.errors.map((message) => problemOf(message, folder)),
      { cause: error },
    );
  });
  const texts = new Map(result.outputFiles.map((file) => [file.path, file.text]));
  const outputs = new Map(
    Object.entries(result.metafile.outputs).map(([path, output]) => [
      output.entryPoint,
      { text: texts.get(join(packageRoot, path)) ?? '', inputs: output.inputs },
    ]),
  );
  const userFiles = (paths: readonly string[]) =>
    paths
      .flatMap((path) => (path.startsWith(`${userNamespace}:`) ? path.slice(userNamespace.length + 1) : []))
      .filter((path) => !names.has(path));
  return Promise.all(
    [...names.keys()].map(async (name): Promise<Built> => {
      const output = outputs.get(`${userNamespace}:${name}`);
      if (output === undefined) throw new Error(`esbuild gave no output for ${name}`);
      const inside = Object.entries(output.inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
      // What was shaken out counts too: a change there may bring it in.
      const read = userFiles(Object.keys(result.metafile.inputs)).map((path) => join(folder, path));
      return {
        code: hideMachine(output.text),
        modules: userFiles(inside.map(([path]) => path)).sort(),
        files: await Promise.all(read.map(async (path) => [path, await hashOf(path)] as const)),
      };
    }),
  );
}

function problemOf(message: BuildFailure['errors'][number], folder: string) {
  const { at, ...problem } = problemOfMessage(message, folder, 'DMAS_BUNDLE', folder);
  const isUser = message.location?.namespace === userNamespace || message.location?.file.startsWith(`${userNamespace}:`) === true;
  // What the bundler saw of a user file is not what stands in it, so only the file can be told.
  return { ...problem, ...(at === undefined ? {} : { at: isUser ? { file: at.file } : at }) };
}

/** Packages are named from `node_modules` on: where that folder lies differs between a checkout and an installation. */
function hideMachine(code: string): string {
  return code
    .replace(/^(\/\/ )(?!app:)\S*?node_modules\//gm, '$1node_modules/')
    .replace(/^( {2}")[^"\n]*?node_modules\/([^"\n]+"\()/gm, '$1node_modules/$2');
}

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');
const hashOf = async (path: string) => sha256(await readFile(path).catch(() => ''));

async function isFresh(built: Built | undefined): Promise<boolean> {
  if (built === undefined) return false;
  const same = await Promise.all(built.files.map(async ([path, hash]) => (await hashOf(path)) === hash));
  return same.every(Boolean);
}
