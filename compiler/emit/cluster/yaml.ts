import { stringify } from 'yaml';

/** Objects as one file of YAML, without anchors: people read and change them. */
export const manifest = (head: string, objects: readonly object[]): string =>
  head + objects.map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })).join('---\n');
