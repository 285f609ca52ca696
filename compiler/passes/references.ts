import { didYouMean } from '../contracts/suggest.ts';
import type { Pass } from './draft.ts';
import { problemAt } from './draft.ts';

/** Everything an agent, graph or tool server names must have an implementation among the parts. */
export const findUnknownReferences: Pass = (draft) => {
  const agents = draft.workflow.agents.map((agent) => agent.name);
  const tools = draft.workflow.tools.map((tool) => tool.name);
  const servers = draft.workflow.toolServers.map((server) => server.name);
  const known = { agent: agents, tool: tools, 'tool server': servers };
  const unknown = draft.references.filter(({ to, what }) => !known[what].includes(to));
  const problems = unknown.map(({ from, to, what }) => {
    const allowed = [...known[what]].sort();
    const guess = didYouMean(to, allowed);
    return problemAt(draft, from, {
      code: 'DMAS_WF_UNKNOWN_AGENT',
      message: `"${from}" refers to ${what} "${to}", which has no implementation in the workflow's parts`,
      allowed,
      ...(guess === undefined ? {} : { didYouMean: guess }),
    });
  });
  const { entry } = draft.workflow;
  if (entry.kind === 'agent' && !agents.includes(entry.agent)) {
    const guess = didYouMean(entry.agent, agents);
    const message = `the entry "${entry.agent}" has no implementation in the workflow's parts`;
    const more = guess === undefined ? {} : { didYouMean: guess };
    problems.push(problemAt(draft, entry.agent, { code: 'DMAS_WF_UNKNOWN_AGENT', message, allowed: [...agents].sort(), ...more }));
  }
  return problems;
};
