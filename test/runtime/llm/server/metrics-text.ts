export interface Sample {
  readonly name: string;
  readonly labels: { readonly [label: string]: string };
  readonly value: number;
}
export interface TextFamily {
  readonly help: string;
  readonly type: string;
  readonly samples: Sample[];
}

const sampleLine = /^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{((?:[A-Za-z_][A-Za-z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)$/;
const label = /([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"/g;

/** Reads Prometheus' text format and is strict about it: every line, every family in one piece, histograms that add up. */
export function readMetricsText(text: string): ReadonlyMap<string, TextFamily> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, TextFamily>();
  const seen = new Set<string>();
  let help: { name: string; text: string } | undefined;
  let present: { name: string; family: TextFamily } | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) ([A-Za-z_:][A-Za-z0-9_:]*) (.+)$/.exec(line);
    if (comment?.[1] === 'HELP') {
      help = { name: comment[2] as string, text: comment[3] as string };
      continue;
    }
    if (comment?.[1] === 'TYPE') {
      const [, , name = '', type = ''] = comment;
      if (families.has(name)) throw new Error(`${name} stands in two pieces`);
      if (help?.name !== name) throw new Error(`${name} has no help`);
      if (!['gauge', 'counter', 'histogram'].includes(type)) throw new Error(`${name} is a ${type}`);
      present = { name, family: { help: help.text, type, samples: [] } };
      families.set(name, present.family);
      continue;
    }
    const [, name = '', labels = '', value = ''] = sampleLine.exec(line) ?? [];
    const suffixes = present?.family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    if (present === undefined || !suffixes.some((suffix) => name === present?.name + suffix)) throw new Error(`not a sample here: ${line}`);
    if (seen.has(`${name}{${labels}}`)) throw new Error(`twice: ${line}`);
    seen.add(`${name}{${labels}}`);
    if (value === '' || Number.isNaN(Number(value))) throw new Error(`no value: ${line}`);
    present.family.samples.push({
      name,
      labels: Object.fromEntries([...labels.matchAll(label)].map(([, key, of]) => [key, of])),
      value: Number(value),
    });
  }
  for (const [name, family] of families) if (family.type === 'histogram') checkHistogram(name, family.samples);
  return families;
}

function checkHistogram(name: string, samples: readonly Sample[]): void {
  const keyOf = ({ labels: { le: _, ...rest } }: Sample) => JSON.stringify(rest);
  for (const key of new Set(samples.map(keyOf))) {
    const own = samples.filter((sample) => keyOf(sample) === key);
    const buckets = own.filter((sample) => sample.name.endsWith('_bucket'));
    const bounds = buckets.map(({ labels }) => (labels.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels.le)));
    const rising = (values: readonly number[], strictly: boolean) =>
      values.every((value, index) => index === 0 || value > (values[index - 1] as number) || (!strictly && value === values[index - 1]));
    const count = own.find((sample) => sample.name === `${name}_count`)?.value;
    if (!rising(bounds, true) || bounds.at(-1) !== Number.POSITIVE_INFINITY) throw new Error(`${name}: bounds ${bounds}`);
    if (
      !rising(
        buckets.map(({ value }) => value),
        false,
      ) ||
      buckets.at(-1)?.value !== count
    )
      throw new Error(`${name}: counts do not add up`);
    if (own.find((sample) => sample.name === `${name}_sum`) === undefined) throw new Error(`${name} has no sum`);
  }
}
