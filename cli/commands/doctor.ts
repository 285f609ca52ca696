import { errorCatalogue, exitCodes, type Problem } from '../../compiler/contracts/index.ts';
import { checkInstalled } from '../../compiler/frontends/langgraph/installed.ts';
import { openProject } from '../project.ts';
import { targets } from '../registry.ts';
import { table } from '../render/format.ts';

interface Check {
  readonly what: string;
  readonly state: 'ok' | 'not ready' | 'found';
  readonly says: string;
}

/** A table of what works here, what does not and how to mend it; and what dead runs left behind. */
export async function doctor(file: string | undefined, options: { readonly clean?: boolean; readonly json?: boolean }): Promise<number> {
  const project = file === undefined ? undefined : await openProject(file);
  const wanted = project?.target.id ?? 'process';
  const checks: Check[] = [];
  let ready = true;
  for (const descriptor of targets) {
    const target = (await descriptor.load()).create(project?.target.id === descriptor.id ? project.scenario.config.target : {});
    const problems = await target.check();
    const errors = problems.filter((problem) => problem.severity === 'error');
    checks.push({
      what: `target ${descriptor.id}`,
      state: errors.length === 0 ? 'ok' : 'not ready',
      says: says(problems) || descriptor.title,
    });
    if (errors.length > 0) {
      if (descriptor.id === wanted) ready = false;
      continue;
    }
    const leftovers = options.clean ? await target.clean() : await target.leftovers();
    for (const line of leftovers)
      checks.push({
        what: `left behind (${descriptor.id})`,
        state: 'found',
        says: options.clean ? `removed: ${line}` : `${line}; dmas-opt doctor --clean removes it`,
      });
  }
  if (project)
    checks.push({
      what: 'scenario',
      state: 'ok',
      says: `${project.workflow.agents.length} agents, ${project.workflow.toolServers.length} tool servers`,
    });
  const langgraph = await checkInstalled(project?.scenario.folder ?? process.cwd());
  if (langgraph) {
    checks.push({ what: '@langchain/langgraph', state: langgraph.ok ? 'ok' : 'not ready', says: langgraph.says });
    if (!langgraph.ok && project?.workflow.frontend === 'langgraph') ready = false;
  }
  checks.push({ what: 'data sent anywhere', state: 'ok', says: 'nothing' });
  if (options.json) process.stdout.write(`${JSON.stringify(checks, null, 2)}\n`);
  else process.stdout.write(`${table(checks.map((check) => [check.state, check.what, check.says]))}\n`);
  return ready ? exitCodes.success : exitCodes.environmentNotReady;
}

const says = (problems: readonly Problem[]) =>
  problems.map((problem) => `${problem.message}; ${problem.fix ?? errorCatalogue[problem.code].help}`).join(' ');
