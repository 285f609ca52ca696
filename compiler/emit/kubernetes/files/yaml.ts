import { stringify } from 'yaml';

/** Objects as one file; strings are never folded, so that a change is one line of a diff. */
export function printObjects(objects: readonly object[], head: readonly string[] = []): string {
  const documents = objects.map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false }));
  return `${head.map((line) => `# ${line}\n`).join('')}${documents.join('---\n')}`;
}
