import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import type { Problem } from '../compiler/contracts/index.ts';

/** Where a key or value stands. Lines and columns start at 1. */
export interface Span {
  readonly line: number;
  readonly column: number;
  readonly length: number;
}

export interface SourceDocument {
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** Place of the value at a path, or of the nearest parent that exists. */
  valueAt(path: readonly PropertyKey[]): Span;
  /** Place of the key itself, for keys that should not be there. */
  keyAt(path: readonly PropertyKey[]): Span;
  /** Place of every value in the file, by dotted path. */
  places(): { readonly [path: string]: Span };
}

/**
 * Parses YAML and keeps where everything stands. `substitute` sees every string scalar before it becomes a value and
 * returns its replacement, or a problem.
 */
export function parseSource(
  file: string,
  text: string,
  substitute: (text: string) => { value: unknown } | { problem: Omit<Problem, 'at'> },
): SourceDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const span = (from: number, to: number): Span => {
    const { line, col } = lines.linePos(from);
    const end = text.indexOf('\n', from);
    return { line, column: col, length: Math.max(1, Math.min(to, end < 0 ? text.length : end) - from) };
  };
  const at = (place: Span) => ({ file, ...place });
  const problems: Problem[] = [...document.errors, ...document.warnings].map((error) => ({
    code: 'DMAS_CFG_SYNTAX',
    severity: 'error',
    message: firstLine(error.message),
    at: at(span(error.pos[0], error.pos[1])),
  }));

  const spanOf = (node: Node | null | undefined): Span | undefined => (node?.range ? span(node.range[0], node.range[1]) : undefined);
  const keyNode = (path: readonly PropertyKey[]): Node | undefined => {
    const parent = path.length > 1 ? document.getIn(path.slice(0, -1), true) : document.contents;
    if (!isMap(parent)) return undefined;
    const pair = parent.items.find((item) => String(isScalar(item.key) ? item.key.value : item.key) === String(path.at(-1)));
    return pair?.key as Node | undefined;
  };
  const nearest = (path: readonly PropertyKey[]): Span => {
    for (let depth = path.length; depth > 0; depth--) {
      const part = path.slice(0, depth);
      const place = depth === path.length ? spanOf(document.getIn(part, true) as Node | undefined) : spanOf(keyNode(part));
      if (place) return place;
    }
    return { line: 1, column: 1, length: 1 };
  };

  const places: Record<string, Span> = {};
  const toValue = (node: unknown, path: readonly string[]): unknown => {
    if (isMap(node)) {
      const out: Record<string, unknown> = {};
      for (const pair of node.items) {
        const key = String(isScalar(pair.key) ? pair.key.value : pair.key);
        out[key] = toValue(pair.value, [...path, key]);
      }
      mark(node as Node, path);
      return out;
    }
    if (isSeq(node)) {
      mark(node as Node, path);
      return node.items.map((item, index) => toValue(item, [...path, String(index)]));
    }
    if (isScalar(node)) {
      mark(node as Node, path);
      if (typeof node.value !== 'string') return node.value;
      const replaced = substitute(node.value);
      if ('value' in replaced) return replaced.value;
      problems.push({ ...replaced.problem, at: at(spanOf(node as Node) ?? { line: 1, column: 1, length: 1 }) });
      return node.value;
    }
    return document.contents === node ? undefined : ((node as Node | null)?.toJSON?.() ?? null);
  };
  const mark = (node: Node, path: readonly string[]) => {
    const place = spanOf(node);
    if (place && path.length > 0) places[path.join('.')] = place;
  };
  const value = problems.length === 0 ? toValue(document.contents, []) : undefined;

  return {
    value,
    problems,
    valueAt: nearest,
    keyAt: (path) => spanOf(keyNode(path)) ?? nearest(path),
    places: () => places,
  };
}

const firstLine = (text: string) => text.split('\n', 1)[0] ?? text;
