import { readFile } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';
import type { Loader, OnResolveArgs, OnResolveResult, Plugin, PluginBuild } from 'esbuild';
import { resolvePackage, wasAsked } from '../frontends/source/resolve.ts';
import { ownFile } from './package-root.ts';
import { bareImports, purify } from './purify.ts';

/** User files are named by their path from the workflow's folder, so that a bundle shows nothing of the machine. */
export const userNamespace = 'app';

const loaders: { readonly [extension: string]: Loader } = {
  '.ts': 'ts',
  '.mts': 'ts',
  '.cts': 'ts',
  '.tsx': 'tsx',
  '.js': 'js',
  '.mjs': 'js',
  '.cjs': 'js',
  '.jsx': 'jsx',
};

/**
 * Gives the bundler the generated entries (text by name, `<id>.entry.ts`), the user's files without what nobody uses of
 * them, and `dmas-opt` from this package.
 */
export const resolveUserCode = (folder: string, entries: ReadonlyMap<string, string>): Plugin => ({
  name: 'dmas-opt-bundle',
  setup(build) {
    const forEffects = new Set<string>();
    // Each filter that matches costs a message to esbuild's process, so packages' own imports match none.
    build.onResolve({ filter: /^dmas-opt(\/|$)/ }, (args) => {
      const own = ownFile(args.path);
      if (own === undefined) return undefined;
      return { path: own, ...(args.path === 'dmas-opt' ? { sideEffects: false } : {}) };
    });
    build.onResolve({ filter: /\.entry\.ts$/ }, (args) =>
      args.kind === 'entry-point' ? { path: args.path, namespace: userNamespace } : undefined,
    );
    build.onResolve({ filter: /.*/, namespace: userNamespace }, (args) =>
      wasAsked(args) ? undefined : resolveFromUser(build, args, folder, forEffects.has(`${args.importer}\u0000${args.path}`)),
    );
    build.onLoad({ filter: /.*/, namespace: userNamespace }, async ({ path }) => {
      const entry = entries.get(path);
      if (entry !== undefined) return { contents: entry, loader: 'ts', resolveDir: folder };
      const file = join(folder, path);
      const loader = loaders[extname(path)];
      const resolveDir = join(file, '..');
      if (loader === undefined || extname(path) === '.cjs') return { contents: await readFile(file), loader: 'default', resolveDir };
      const contents = await purifyFile(file, loader);
      for (const specifier of bareImports(contents)) forEffects.add(`${path}\u0000${specifier}`);
      return { contents, loader: 'js', resolveDir };
    });
  },
});

async function resolveFromUser(build: PluginBuild, args: OnResolveArgs, folder: string, forEffects: boolean): Promise<OnResolveResult> {
  const found = await resolvePackage(build, args, args.resolveDir || folder);
  const { errors, warnings, path, external } = found;
  if (errors.length > 0 || external || found.namespace !== 'file') return found;
  const bare = !/^[./]/.test(args.path);
  if (bare && path.includes(`${sep}node_modules${sep}`)) return { path, warnings, sideEffects: found.sideEffects };
  // A definition nobody uses may go; a file that was imported for its effects alone stays.
  const module = relative(folder, path).split(sep).join('/');
  return { path: module, namespace: userNamespace, warnings, ...(forEffects ? {} : { sideEffects: false }) };
}

const purified = new Map<string, { readonly text: string; readonly code: Promise<string> }>();

/** Purified once per content: many bundles of one study hold the same files. */
async function purifyFile(file: string, loader: Loader): Promise<string> {
  const text = await readFile(file, 'utf8');
  const known = purified.get(file);
  if (known?.text === text) return known.code;
  const code = purify(text, loader, file);
  purified.set(file, { text, code });
  return code;
}
