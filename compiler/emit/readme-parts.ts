import type { Access } from '../contracts/index.ts';
import type { ExportFacts } from './emitter.ts';

/** What the report holds a deployment of this layout against. */
export function claimLines({ claims }: Pick<ExportFacts, 'claims'>): string[] {
  if (claims.length === 0) return ['Nothing was measured of this layout, so there is nothing to hold it against.'];
  return ['The study measured, under the load of the scenario and on its machine:', '', ...claims.map((claim) => `- ${claim}`)];
}

export const noteLines = ({ notes = [] }: Pick<ExportFacts, 'notes'>): string[] =>
  notes.length === 0 ? [] : ['', ...notes.map((note) => `- ${note}`)];

/** A table of rights, one line per unit and service. */
export const rightsTable = ({ members }: Access): string[] => [
  '| | calls | outside | secrets |',
  '|---|---|---|---|',
  ...members.map(({ id, reaches, hosts, secrets }) => {
    const calls = [...new Set(reaches.map(({ to }) => to))].sort();
    const outside = hosts.map(({ host, port }) => `${host}:${port}`);
    return `| ${id} | ${list(calls)} | ${list(outside)} | ${list(secrets)} |`;
  }),
];

const list = (items: readonly string[]) => (items.length === 0 ? '–' : items.join(', '));

/** How an image of the folder `image` comes to where a cluster finds it. */
export const imageLines = (image: string): string[] => ['```sh', `docker build -t ${image} image`, `docker push ${image}`, '```'];
