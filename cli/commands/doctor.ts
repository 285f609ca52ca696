import { errorCatalogue, exitCodes, type Problem } from '../../compiler/contracts/index.ts';
import { checkInstalled } from '../../compiler/frontends/langgraph/installed.ts';
import { type Check, checkEndpoints } from '../endpoint-checks.ts';
import { openProject } from '../project.ts';
import { targets } from '../registry.ts';
import { table } from '../render/format.ts';

/**
 * A table of what works here, what does not and how to mend it; and what dead runs left behind. Given a scenario, its model
 * endpoints are asked too, unless `offline`.
 */
export async function doctor(
  file: string | undefined,
  options: { readonly clean?: boolean; readonly json?: boolean; readonly offline?: boolean },
): Promise<number> {
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
    const leftovers = options.clean ? await target.clean({ caches: true }) : await target.leftovers();
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
  const endpoints =
    project && !options.offline ? await checkEndpoints(project.live.models, project.workflow.models, process.env) : undefined;
  checks.push(...(endpoints?.checks ?? []));
  // What a study replays it does not ask; then its endpoint is only needed to record and to serve.
  const asked = Object.entries(project?.scenario.config.models ?? {}).filter(([, { backend }]) => backend !== 'replay');
  const broken = (name: string) =>
    endpoints?.checks.some(({ what, state }) => state === 'not ready' && what.startsWith(`model ${name}: `)) === true;
  if (asked.some(([name]) => broken(name))) ready = false;
  checks.push({ what: 'data sent anywhere', state: 'ok', says: endpoints?.sent ?? 'nothing' });
  if (options.json) process.stdout.write(`${JSON.stringify(checks, null, 2)}\n`);
  else process.stdout.write(`${table(checks.map((check) => [check.state, check.what, check.says]))}\n`);
  return ready ? exitCodes.success : exitCodes.environmentNotReady;
}

const says = (problems: readonly Problem[]) =>
  problems.map((problem) => `${problem.message}; ${problem.fix ?? errorCatalogue[problem.code].help}`).join(' ');
