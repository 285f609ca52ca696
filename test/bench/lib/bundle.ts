import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/**
 * One self-contained ES module, as units are deployed. A loader that compiles sources on the fly (tsx) adds work to
 * every closure and would be measured along.
 */
export async function bundle(entry: URL, outfile: string): Promise<string> {
  await build({
    entryPoints: [fileURLToPath(entry)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'error',
    // CommonJS packages inside an ES module ask for `require`.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  });
  return outfile;
}
