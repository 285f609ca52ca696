import { parseOutsideHost } from '../contracts/index.ts';
import { type Pass, problemAt } from './draft.ts';

/** Places outside must be whole names: what is allowed is compared letter by letter. */
export const findBadHosts: Pass = (draft) => {
  const { agents, toolServers, tools } = draft.workflow;
  return [...agents, ...toolServers, ...tools].flatMap(({ name, hosts = [] }) =>
    hosts
      .filter((host) => parseOutsideHost(host) === undefined)
      .map((host) =>
        problemAt(draft, name, {
          code: 'DMAS_WF_BAD_HOST',
          message: `"${name}" calls "${host}", which is no place outside`,
          fix: 'write host and port, such as api.example.com:443; wildcards are not allowed, so name each host',
        }),
      ),
  );
};
