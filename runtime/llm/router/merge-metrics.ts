/** One replica's metrics in Prometheus' text format. */
export interface ReplicaMetrics {
  readonly replica: number;
  readonly text: string;
}

interface Merged {
  readonly comments: Map<string, string>;
  readonly samples: string[];
}

const suffix = /_(?:bucket|sum|count|total|created)$/;

/** All of them in one text: every sample gets a label `replica`, and what belongs together stands together. */
export function mergeMetrics(parts: readonly ReplicaMetrics[]): string {
  const families = new Map<string, Merged>();
  const familyOf = (name: string) => {
    const found = families.get(name) ?? { comments: new Map<string, string>(), samples: [] };
    families.set(name, found);
    return found;
  };
  for (const { replica, text } of parts) {
    for (const line of text.split('\n')) {
      if (line.trim() === '') continue;
      const comment = /^# (HELP|TYPE) (\S+)/.exec(line);
      if (comment !== null) {
        const { comments } = familyOf(comment[2] as string);
        const kind = comment[1] as string;
        if (!comments.has(kind)) comments.set(kind, line);
        continue;
      }
      const sample = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(.+)$/.exec(line);
      if (sample === null) continue;
      const [, name = '', labels = '', value] = sample;
      const family = families.has(name) ? name : families.has(name.replace(suffix, '')) ? name.replace(suffix, '') : name;
      familyOf(family).samples.push(`${name}{${labels === '' ? '' : `${labels.replace(/,\s*$/, '')},`}replica="${replica}"} ${value}`);
    }
  }
  return [...families.values()].map(({ comments, samples }) => `${[...comments.values(), ...samples].join('\n')}\n`).join('');
}
