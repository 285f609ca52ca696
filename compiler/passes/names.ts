import { type Pass, problemAt } from './draft.ts';

/** Names stand in scenario files, addresses, file names and metrics, so one form must fit all of them. */
const componentName = /^[a-z][a-z0-9-]*$/;
/** What OpenAI-compatible models take as the name of a function. */
const toolName = /^[A-Za-z0-9_-]{1,64}$/;

export const findBadNames: Pass = (draft) => {
  const { agents, toolServers, topics, tools } = draft.workflow;
  const wrong = (what: string, names: readonly string[], form: RegExp, fix: string) =>
    [...new Set(names)]
      .filter((name) => !form.test(name))
      .map((name) => problemAt(draft, name, { code: 'DMAS_WF_BAD_NAME', message: `"${name}" cannot be the name of ${what}`, fix }));
  const lower = 'use lower-case letters, digits and dashes, beginning with a letter';
  const nameOf = ({ name }: { readonly name: string }) => name;
  return [
    ...wrong('an agent or tool server', [...agents, ...toolServers].map(nameOf), componentName, lower),
    ...wrong('a topic', topics.map(nameOf), componentName, lower),
    ...wrong('a tool', tools.map(nameOf), toolName, 'use at most 64 letters, digits, dashes and underscores'),
  ];
};
