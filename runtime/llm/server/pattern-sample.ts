/**
 * A text that matches a simple regular expression: literals, classes, groups with alternatives, quantifiers. Returns
 * undefined for anything else (look-around, back references, Unicode classes); the caller checks the result.
 */
export function sampleOf(pattern: string): string | undefined {
  try {
    const reader = { text: pattern, at: 0 };
    const sample = alternatives(reader);
    return reader.at === pattern.length && new RegExp(pattern, 'u').test(sample) ? sample : undefined;
  } catch {
    return undefined;
  }
}

interface Reader {
  readonly text: string;
  at: number;
}

const peek = (reader: Reader) => reader.text[reader.at];

/** The first alternative; the others are read to find the end. */
function alternatives(reader: Reader): string {
  const first = sequence(reader);
  while (peek(reader) === '|') {
    reader.at++;
    sequence(reader);
  }
  return first;
}

function sequence(reader: Reader): string {
  let out = '';
  for (let next = peek(reader); next !== undefined && next !== '|' && next !== ')'; next = peek(reader)) {
    const item = atom(reader);
    out += item.repeat(repetitions(reader));
  }
  return out;
}

function atom(reader: Reader): string {
  const next = reader.text[reader.at++];
  if (next === '^' || next === '$') return '';
  if (next === '.') return 'a';
  if (next === '[') return characterClass(reader);
  if (next === '\\') return escaped(reader);
  if (next !== '(') return next ?? '';
  if (reader.text.startsWith('?:', reader.at)) reader.at += 2;
  else if (peek(reader) === '?') throw new Error('not a simple group');
  const inner = alternatives(reader);
  if (reader.text[reader.at++] !== ')') throw new Error('open group');
  return inner;
}

function escaped(reader: Reader): string {
  const next = reader.text[reader.at++] ?? '';
  if (next === 'd') return '1';
  if (next === 'w') return 'a';
  if (next === 's') return ' ';
  if (next === 'b') return '';
  if (/[a-zA-Z0-9]/.test(next)) throw new Error('not a simple escape');
  return next;
}

function characterClass(reader: Reader): string {
  if (peek(reader) === '^') {
    const start = reader.at - 1;
    readClass(reader);
    const matcher = new RegExp(`^${reader.text.slice(start, reader.at)}$`, 'u');
    return ['a', '1', ' ', '-', 'A'].find((one) => matcher.test(one)) ?? '~';
  }
  return readClass(reader);
}

/** Reads to the closing bracket; the first member stands for the class. */
function readClass(reader: Reader): string {
  let first: string | undefined;
  while (peek(reader) !== ']') {
    const next = reader.text[reader.at++];
    if (next === undefined) throw new Error('open class');
    const member = next === '\\' ? escaped(reader) : next;
    first ??= member;
  }
  reader.at++;
  return first ?? '';
}

function repetitions(reader: Reader): number {
  const rest = reader.text.slice(reader.at);
  const [all = '', counted] = /^(?:[?*+]|\{(\d+)(?:,\d*)?\})\??/.exec(rest) ?? [];
  reader.at += all.length;
  if (counted !== undefined) return Number(counted);
  return all.startsWith('?') || all.startsWith('*') ? 0 : 1;
}
