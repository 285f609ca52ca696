import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** The whole driver as one ES module: the `code` of a target's job. No file of this package is needed where it runs. */
export async function bundleDriver(): Promise<string> {
  // Beside this file stands the source in a checkout and the compiled file in an installed package.
  const entry = fileURLToPath(new URL(`./driver-main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url));
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    minifySyntax: true,
    // CommonJS packages inside an ES module still ask for Node's own modules with require.
    banner: {
      js: "import { createRequire as dmasCreateRequire } from 'node:module';\nconst require = dmasCreateRequire(import.meta.url);",
    },
    logLevel: 'silent',
  });
  const [file] = result.outputFiles;
  if (!file) throw new Error('esbuild gave no output for the load driver');
  return file.text;
}
