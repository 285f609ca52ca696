import type { Problem } from '../contracts/index.ts';
import type { Draft, Pass } from './draft.ts';
import { problemAt } from './draft.ts';

/** Every component must be reached by messages from the entry, and a topic entry must be able to complete. */
export const findUnreachable: Pass = (draft) => {
  const { workflow } = draft;
  const problems: Problem[] = [];
  const start = entryComponents(draft);
  if (workflow.entry.kind === 'topic') {
    const { publish, complete } = workflow.entry;
    const topic = (name: string) => workflow.topics.find((candidate) => candidate.name === name);
    if (start.length === 0) problems.push(unreachable(draft, publish, `nobody subscribes to the entry topic "${publish}"`));
    if ((topic(complete)?.publishers ?? []).length === 0) {
      problems.push(unreachable(draft, complete, `nobody publishes on "${complete}", so no request would ever complete`));
    }
  }
  if (start.length === 0) return problems;
  const reached = new Set(start);
  const next = [...start];
  for (let from = next.pop(); from !== undefined; from = next.pop()) {
    for (const channel of workflow.channels) {
      if (channel.kind === 'model' || !channel.from.includes(from)) continue;
      for (const to of channel.to) {
        if (reached.has(to)) continue;
        reached.add(to);
        next.push(to);
      }
    }
  }
  const components = [...workflow.agents, ...workflow.toolServers].map((component) => component.name);
  for (const name of new Set(components)) {
    if (!reached.has(name)) problems.push(unreachable(draft, name, `"${name}" can never be reached from the entry`));
  }
  const used = new Set(workflow.agents.flatMap((agent) => agent.tools ?? []));
  for (const tool of workflow.tools) {
    if (tool.server !== undefined || used.has(tool.name)) continue;
    problems.push({ ...unreachable(draft, tool.name, `no agent uses the tool "${tool.name}"`), severity: 'warning' });
  }
  return problems;
};

const unreachable = (draft: Draft, name: string, message: string) => problemAt(draft, name, { code: 'DMAS_WF_UNREACHABLE', message });

function entryComponents({ workflow }: Draft): string[] {
  const { entry } = workflow;
  if (entry.kind === 'agent') return workflow.agents.some((agent) => agent.name === entry.agent) ? [entry.agent] : [];
  return [...(workflow.topics.find((topic) => topic.name === entry.publish)?.subscribers ?? [])];
}
