export interface Histogram {
  readonly bounds: readonly number[];
  /** Not yet cumulative; the last is what lies above all bounds. */
  readonly counts: number[];
  sum: number;
  count: number;
}

export const histogram = (bounds: readonly number[]): Histogram => ({
  bounds,
  counts: new Array<number>(bounds.length + 1).fill(0),
  sum: 0,
  count: 0,
});

/** Counts `times` observations of one value. Bounds are upper and inclusive. */
export function observe(into: Histogram, value: number, times = 1): void {
  let index = 0;
  while (index < into.bounds.length && value > (into.bounds[index] as number)) index++;
  into.counts[index] = (into.counts[index] as number) + times;
  into.sum += value * times;
  into.count += times;
}

export type Labels = { readonly [label: string]: string };

/** One metric in Prometheus' text format: a value per set of labels. */
export interface Family {
  /** As in the text; a counter's ends in `_total`. */
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter' | 'histogram';
  readonly samples: readonly { readonly labels: Labels; readonly value: number | Histogram }[];
}

/** Prometheus text format 0.0.4. Families without samples are left out. */
export function printFamilies(families: readonly Family[]): string {
  let text = '';
  for (const { name, help, type, samples } of families) {
    if (samples.length === 0) continue;
    text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
    for (const { labels, value } of samples) {
      const inner = printLabels(labels);
      text += typeof value === 'number' ? `${name}{${inner}} ${value}\n` : printHistogram(name, inner, value);
    }
  }
  return text;
}

export const textFormat = 'text/plain; version=0.0.4; charset=utf-8';

const escaped = (value: string) => value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
const printLabels = (labels: Labels) =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',');

function printHistogram(name: string, labels: string, { bounds, counts, sum, count }: Histogram): string {
  let text = '';
  let below = 0;
  bounds.forEach((bound, index) => {
    below += counts[index] as number;
    text += `${name}_bucket{${labels},le="${Number.isInteger(bound) ? `${bound}.0` : bound}"} ${below}\n`;
  });
  return `${text}${name}_bucket{${labels},le="+Inf"} ${count}\n${name}_sum{${labels}} ${sum}\n${name}_count{${labels}} ${count}\n`;
}

/** Said of every number that no engine measured. */
export const simulatedHelp = (help: string) => `${help} Simulated, not measured on an engine.`;
