/** One line of a page: the name as written (`…_bucket` and the like included), its labels and its value. */
export interface MetricSample {
  readonly name: string;
  readonly labels: { readonly [label: string]: string };
  readonly value: number;
  /** As the exporter says it, in milliseconds since 1970. */
  readonly timestampMs?: number;
}

export type MetricType = 'counter' | 'gauge' | 'histogram' | 'summary' | 'untyped';

export interface MetricPage {
  readonly samples: ReadonlyMap<string, readonly MetricSample[]>;
  readonly types: ReadonlyMap<string, MetricType>;
}

/** A vLLM server with a dozen engines writes about 1 MB; what is beyond this is no metrics page. */
export const pageLimitBytes = 16 * 1024 * 1024;
const lineLimit = 400_000;
const labelLimit = 64;

const metricTypes: readonly string[] = ['counter', 'gauge', 'histogram', 'summary', 'untyped'];
const metricName = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
const labelName = /[a-zA-Z_][a-zA-Z0-9_]*/y;
const blank = /[ \t]*/y;
const number = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const integer = /^-?\d{1,16}$/;

/**
 * Prometheus' text exposition format, version 0.0.4, as `prometheus_client` and DCGM's exporter write it.
 * @throws RangeError naming the line, for anything that is not of that format or is larger than any such page
 */
export function parsePrometheus(text: string): MetricPage {
  if (text.length > pageLimitBytes) throw new RangeError(`the page is longer than ${pageLimitBytes} characters`);
  const samples = new Map<string, MetricSample[]>();
  const types = new Map<string, MetricType>();
  let start = 0;
  for (let line = 1; start < text.length; line++) {
    if (line > lineLimit) throw new RangeError(`the page has more than ${lineLimit} lines`);
    let end = text.indexOf('\n', start);
    if (end < 0) end = text.length;
    const content = text.slice(start, text[end - 1] === '\r' ? end - 1 : end);
    start = end + 1;
    try {
      if (content.startsWith('#')) readComment(content, types, samples);
      else if (content.trim() !== '') {
        const sample = readSample(content);
        const known = samples.get(sample.name);
        if (known === undefined) samples.set(sample.name, [sample]);
        else known.push(sample);
      }
    } catch (error) {
      if (error instanceof SyntaxError) throw new RangeError(`line ${line}: ${error.message}`);
      throw error;
    }
  }
  return { samples, types };
}

/** Only `# TYPE` says something we need; every other comment is for people. */
function readComment(line: string, types: Map<string, MetricType>, samples: ReadonlyMap<string, unknown>): void {
  const [, keyword, name = '', ...rest] = line.split(/[ \t]+/);
  if (keyword !== 'TYPE') return;
  const type = rest.join(' ');
  if (match(metricName, name, 0) !== name) throw new SyntaxError(`"${shown(name)}" is no name of a metric`);
  if (!metricTypes.includes(type)) throw new SyntaxError(`"${shown(type)}" is no type of a metric`);
  if (types.has(name)) throw new SyntaxError(`a second TYPE of ${name}`);
  if (samples.has(name)) throw new SyntaxError(`the TYPE of ${name} comes after its values`);
  types.set(name, type as MetricType);
}

function readSample(line: string): MetricSample {
  let at = skip(line, 0);
  const name = match(metricName, line, at);
  if (name === '') throw new SyntaxError('no name of a metric');
  at = skip(line, at + name.length);
  const labels: { [label: string]: string } = {};
  if (line[at] === '{') at = readLabels(line, at + 1, labels);
  else if (at === name.length) throw new SyntaxError(`no value of ${name}`);
  const [value, timestamp, ...rest] = line
    .slice(at)
    .trim()
    .split(/[ \t]+/);
  if (rest.length > 0) throw new SyntaxError('more than a value and a time');
  if (timestamp !== undefined && !integer.test(timestamp)) throw new SyntaxError(`"${shown(timestamp)}" is no time in milliseconds`);
  return { name, labels, value: numberIn(value ?? ''), ...(timestamp === undefined ? {} : { timestampMs: Number(timestamp) }) };
}

/** From behind the opening brace to behind the closing one. */
function readLabels(line: string, from: number, into: { [label: string]: string }): number {
  let at = skip(line, from);
  for (let count = 0; line[at] !== '}'; count++) {
    if (count >= labelLimit) throw new SyntaxError(`more than ${labelLimit} labels`);
    const name = match(labelName, line, at);
    if (name === '') throw new SyntaxError('no name of a label');
    if (Object.hasOwn(into, name)) throw new SyntaxError(`label ${name} twice`);
    at = skip(line, at + name.length);
    if (line[at] !== '=') throw new SyntaxError(`no = after label ${name}`);
    at = skip(line, at + 1);
    if (line[at] !== '"') throw new SyntaxError(`the value of label ${name} is not quoted`);
    const { text, end } = readQuoted(line, at + 1);
    // A label may have any name, that of an object's own machinery too.
    Object.defineProperty(into, name, { value: text, enumerable: true });
    at = skip(line, end);
    if (line[at] === ',') at = skip(line, at + 1);
    else if (line[at] !== '}') throw new SyntaxError('a label is followed by neither , nor }');
  }
  return at + 1;
}

function readQuoted(line: string, from: number): { readonly text: string; readonly end: number } {
  let text = '';
  for (let at = from; at < line.length; at++) {
    const character = line[at];
    if (character === '"') return { text, end: at + 1 };
    if (character !== '\\') {
      text += character;
      continue;
    }
    at++;
    const escaped = line[at];
    if (escaped === 'n') text += '\n';
    else if (escaped === '\\' || escaped === '"') text += escaped;
    else throw new SyntaxError(`\\${shown(escaped ?? '')} is no escape`);
  }
  throw new SyntaxError('a value of a label has no end');
}

function numberIn(text: string): number {
  if (number.test(text)) return Number(text);
  if (/^[+]?Inf(inity)?$/i.test(text)) return Number.POSITIVE_INFINITY;
  if (/^-Inf(inity)?$/i.test(text)) return Number.NEGATIVE_INFINITY;
  if (/^NaN$/i.test(text)) return Number.NaN;
  throw new SyntaxError(`"${shown(text)}" is no number`);
}

function match(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? '';
}
const skip = (text: string, at: number): number => at + match(blank, text, at).length;
const shown = (text: string): string => (text.length > 40 ? `${text.slice(0, 40)}…` : text);
