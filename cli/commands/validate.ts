import { stringify } from 'yaml';
import { openProject } from '../project.ts';
import { renderProblems } from '../render/problems.ts';
import { readText } from '../render/source-text.ts';

/** Checks a scenario with everything it names. Errors are thrown and told by the caller; warnings are told here. */
export async function validate(file: string, options: { readonly print?: boolean }): Promise<number> {
  const project = await openProject(file);
  if (project.warnings.length > 0) process.stderr.write(`${renderProblems(project.warnings, readText)}\n`);
  if (options.print) process.stdout.write(stringify(project.scenario.config));
  else {
    const { workflow } = project;
    const count = (n: number, word: string) => `${n} ${word}${n === 1 ? '' : 's'}`;
    process.stdout.write(
      `${file} is valid: ${count(workflow.agents.length, 'agent')}, ${count(workflow.toolServers.length, 'tool server')}, ${count(workflow.channels.length, 'channel')}, ${count(workflow.models.length, 'model')}\n`,
    );
  }
  return 0;
}
