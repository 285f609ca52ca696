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
  const statements = findDefinitions(code);
  if (await parses(wrap(code, statements, true))) return wrap(code, statements);
  // Something looked like the end of a definition and was not (a line in a template literal): keep those that hold alone.
  const sound: Statement[] = [];
  for (const statement of statements) if (await parses(wrap(code, [statement], true))) sound.push(statement);
  return (await parses(wrap(code, sound, true))) ? wrap(code, sound) : code;
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
    const end = endOfStatement(code, match.index);
    if (end === undefined) continue;
    if (name !== undefined) roots.add(name);
    const from = match.index + head.length - root.length - (/new $/.test(head.slice(0, -root.length)) ? 4 : 0);
    statements.push({ start: match.index, from, to: end, isDefault: isDefault !== undefined });
    opening.lastIndex = end;
  }
  return statements;
}

/** Offset of the semicolon of the first line that starts in the first column, ends in one, and is followed by a statement. */
function endOfStatement(code: string, start: number): number | undefined {
  const ending = /^[^\s].*;$(?=\n\S|\n?$(?![\s\S]))/gm;
  ending.lastIndex = start;
  const match = ending.exec(code);
  return match === null ? undefined : match.index + match[0].length - 1;
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

/**
 * With `check`, in a form that parses only where wrapping keeps the meaning: a conditional's middle holds one expression
 * and not several declarators, and an arrow holds no `await` of the module.
 */
function wrap(code: string, statements: readonly Statement[], check = false): string {
  let out = '';
  let at = 0;
  for (const { start, from, to, isDefault } of statements) {
    out += code.slice(at, start);
    out += isDefault ? 'const dmasOptDefault = ' : code.slice(start, from);
    const value = code.slice(from, to);
    out += `/* @__PURE__ */ (() => ${check ? `1 ? ${value} : 0` : value})();`;
    if (isDefault) out += '\nexport { dmasOptDefault as default };';
    at = to + 1;
  }
  return out + code.slice(at);
}

async function parses(code: string): Promise<boolean> {
  try {
    await transform(code, { loader: 'js', format: 'esm', logLevel: 'silent' });
    return true;
  } catch {
    return false;
  }
}
