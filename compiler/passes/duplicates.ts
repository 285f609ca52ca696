import type { Pass } from './draft.ts';
import { problemAt } from './draft.ts';

/** Names the runtime uses itself. */
const reserved = new Set(['ingress', 'end', 'state', 'gateway']);

/** Component names are unique over agents and tool servers; tools, topics and blackboards each among themselves. */
export const findDuplicates: Pass = (draft) => {
  const { agents, toolServers, tools, topics } = draft.workflow;
  const components = [...agents, ...toolServers].map((component) => component.name);
  const double = (what: string, names: readonly string[]) =>
    [...new Set(names.filter((name, index) => names.indexOf(name) !== index))].map((name) =>
      problemAt(draft, name, { code: 'DMAS_WF_DUPLICATE', message: `two ${what} are named "${name}"` }),
    );
  return [
    ...double('agents or tool servers', components),
    ...double(
      'tools',
      tools.map((tool) => tool.name),
    ),
    ...double(
      'topics',
      topics.map((topic) => topic.name),
    ),
    ...components
      .filter((name) => reserved.has(name))
      .map((name) => problemAt(draft, name, { code: 'DMAS_WF_DUPLICATE', message: `"${name}" is a name the runtime uses itself` })),
  ];
};
