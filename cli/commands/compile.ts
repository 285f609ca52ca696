import { relative } from 'node:path';
import { writeLayout } from '../best.ts';
import { layoutOf } from '../layouts.ts';
import { openProject } from '../project.ts';

/** Writes the files of one layout: plan, readable entries, bundles and a starter. Nothing is started. */
export async function compile(
  file: string,
  options: { readonly out: string; readonly layout: string; readonly target?: string },
): Promise<number> {
  const project = await openProject(file, options);
  await writeLayout(project, options.out, await layoutOf(project, options.layout));
  process.stdout.write(
    `Wrote ${relative(process.cwd(), options.out) || options.out}: plan.txt, plan.json, entries/, bundles/, start.mjs\n`,
  );
  return 0;
}
