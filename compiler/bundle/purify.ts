import { Script } from 'node:vm';
import { type Loader, transform } from 'esbuild';

/** Calls of the workflow API build a value and do nothing else. */
const apiNames = new Set([
  'agent',
  'blackboard',
  'codeAgent',
  'codeTool',
  'graphAgent',
  'llmAgent',
  'tool',
  'toolServer',
  'topic',
  'workflow',
  'z',
]);

/**
 * A user module as JavaScript in which definitions that nobody uses can be dropped. Annotations of a function do not
 * cross modules in esbuild, and an annotated call is kept when an argument may have effects (a schema, say), so each
 * top-level `const x = codeAgent(…)` becomes `const x = /* @__PURE__ *\/ (() => codeAgent(…))()`. Values derived from
 * such constants (`schema.extend(…)`) are treated alike. All other top-level code stays as it is.
 */
export async function purify(text: string, loader: Loader, file: string): Promise<string> {
  // esbuild's printer starts each top-level statement, and nothing else but closing brackets, in the first column.
  const { code } = await transform(text, {
    loader,
    sourcefile: file,
    target: 'es2023',
    format: 'esm',
    tsconfigRaw: {},
    logLevel: 'silent',
  });
  const found = findDefinitions(code);
  // What begins inside a template literal or a comment is no statement: the text before it would not parse.
  const sound = await Promise.all(found.map(({ start }) => parses(code.slice(0, start))));
  return wrap(
    code,
    found.filter((_, index) => sound[index]),
  );
}

async function parses(code: string): Promise<boolean> {
  try {
    await transform(code, { loader: 'js', format: 'esm', tsconfigRaw: {}, logLevel: 'silent' });
    return true;
  } catch {
    return false;
  }
}

/** Specifiers a module imports for their effects alone. */
export function bareImports(code: string): string[] {
  return [...code.matchAll(/^import "((?:[^"\\]|\\.)+)";$/gm)].flatMap((match) => match[1] ?? []);
}

interface Statement {
  /** Offsets of the whole statement and of its initializer (without the semicolon). */
  readonly start: number;
  readonly from: number;
  readonly to: number;
  readonly isDefault: boolean;
}

function findDefinitions(code: string): Statement[] {
  const roots = importedRoots(code);
  const statements: Statement[] = [];
  const opening = /^(?:export )?(?:(?:const|let|var) ([\w$]+) = |(default) )(?:new )?([\w$]+)(?=[.(])/gm;
  for (let match = opening.exec(code); match !== null; match = opening.exec(code)) {
    const [head, name, isDefault, root = ''] = match;
    if (!roots.has(root)) continue;
    const from = match.index + head.length - root.length - (/new $/.test(head.slice(0, -root.length)) ? 4 : 0);
    const to = endOfExpression(code, from);
    if (to === undefined) continue;
    if (name !== undefined) roots.add(name);
    statements.push({ start: match.index, from, to, isDefault: isDefault !== undefined });
    opening.lastIndex = to;
  }
  return statements;
}

/** How many lines that look like the end of a statement are tried before it is left alone. */
const maxEnds = 50;

/** Offset of the semicolon that ends the statement whose initializer begins at `from`. */
function endOfExpression(code: string, from: number): number | undefined {
  const ending = /;$/gm;
  ending.lastIndex = from;
  for (let tries = 0; tries < maxEnds; tries++) {
    const match = ending.exec(code);
    if (match === null) return undefined;
    // A shorter piece that parses would have unbalanced brackets or quotes, so the first one is the whole.
    if (isExpression(code.slice(from, match.index))) return match.index;
  }
  return undefined;
}

/**
 * Parses only. The middle of a conditional holds one expression and not several declarators, and a static block no
 * `await` of the module: wrapping either would change what it means.
 */
function isExpression(text: string): boolean {
  try {
    new Script(`class Check { static { () => 1 ? ${text} : 0; } }`);
    return true;
  } catch {
    return false;
  }
}

function importedRoots(code: string): Set<string> {
  const roots = new Set<string>();
  for (const match of code.matchAll(/^import ([^;]*?) from "(dmas-opt|zod(?:\/[^"]*)?)";/gm)) {
    const [, clause = '', specifier] = match;
    for (const [, imported, local] of clause.matchAll(/([\w$*]+)(?: as ([\w$]+))?/g)) {
      if (specifier !== 'dmas-opt' || imported === '*' || apiNames.has(imported ?? '')) roots.add(local ?? imported ?? '');
    }
  }
  return roots;
}

function wrap(code: string, statements: readonly Statement[]): string {
  let out = '';
  let at = 0;
  for (const { start, from, to, isDefault } of statements) {
    out += code.slice(at, start);
    out += isDefault ? 'const dmasOptDefault = ' : code.slice(start, from);
    out += `/* @__PURE__ */ (() => ${code.slice(from, to)})();`;
    if (isDefault) out += '\nexport { dmasOptDefault as default };';
    at = to + 1;
  }
  return out + code.slice(at);
}
