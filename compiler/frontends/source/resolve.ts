import { sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { OnResolveArgs, Plugin, PluginBuild } from 'esbuild';
import { ownFile, packageRoot } from '../../bundle/package-root.ts';

const asked = Symbol('asked');

/** A bare specifier as esbuild itself resolves it; `zod` falls back to the one this package uses. */
export async function resolvePackage(build: PluginBuild, args: OnResolveArgs, resolveDir = args.resolveDir) {
  const ask = (folder: string) =>
    build.resolve(args.path, { kind: args.kind, resolveDir: folder, importer: args.importer, pluginData: asked, with: args.with });
  const found = await ask(resolveDir);
  if (found.errors.length > 0 && /^zod(\/|$)/.test(args.path)) return ask(packageRoot);
  return found;
}
export const wasAsked = (args: OnResolveArgs) => args.pluginData === asked;

/** Our API is bundled, other packages are imported from their files: a bundle in a temporary folder could not find them. */
export const resolveForLoading = (): Plugin => ({
  name: 'dmas-opt-load',
  setup(build) {
    // Bare specifiers only: relative and absolute ones are the user's own files.
    build.onResolve({ filter: /^[^./]/ }, async (args) => {
      if (wasAsked(args) || args.kind === 'entry-point' || /^(node:|[A-Za-z]:[\\/])/.test(args.path)) return undefined;
      const own = ownFile(args.path);
      if (own !== undefined) return { path: own };
      const found = await resolvePackage(build, args);
      if (found.errors.length > 0 || found.external) return found;
      const inPackages = found.path.includes(`${sep}node_modules${sep}`);
      return inPackages ? { path: pathToFileURL(found.path).href, external: true } : { path: found.path };
    });
  },
});
