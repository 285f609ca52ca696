import type { z } from 'zod';
import { didYouMean, type Problem } from '../compiler/contracts/index.ts';
import type { SourceDocument } from './source.ts';

type Issue = z.core.$ZodIssue;

/** Schema issues as problems with a place, what was found and what was allowed. */
export function issuesToProblems(issues: readonly Issue[], source: SourceDocument, file: string, schema: z.ZodType): Problem[] {
  const problems = issues.flatMap((issue) => toProblems(issue, issue.path, source, file, schema));
  const misspelt = new Set(problems.flatMap((problem) => (problem.code === 'DMAS_CFG_UNKNOWN_KEY' ? [problem.didYouMean] : [])));
  // A misspelt required key would be told twice: once as unknown, once as missing.
  return problems.filter(
    (problem) => problem.code !== 'DMAS_CFG_MISSING_KEY' || !misspelt.has(problem.message.split(' ')[0]?.split('.').at(-1)),
  );
}

function toProblems(issue: Issue, path: readonly PropertyKey[], source: SourceDocument, file: string, schema: z.ZodType): Problem[] {
  const dotted = path.map(String).join('.') || 'the file';
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const allowed = knownKeys(schema, path);
      const guess = didYouMean(key, allowed);
      return {
        code: 'DMAS_CFG_UNKNOWN_KEY',
        severity: 'error',
        message: `${dotted === 'the file' ? '' : `${dotted}: `}unknown key "${key}"`,
        at: { file, ...source.keyAt([...path, key]) },
        ...(allowed.length > 0 ? { allowed } : {}),
        ...(guess === undefined ? {} : { didYouMean: guess }),
      };
    });
  }
  if (issue.code === 'invalid_union') return unionProblem(issue, path, dotted, source, file, schema);
  const found = valueAt(source.value, path);
  if (found === undefined && issue.code === 'invalid_type') {
    return [
      {
        code: 'DMAS_CFG_MISSING_KEY',
        severity: 'error',
        message: `${dotted} is missing`,
        at: { file, ...source.valueAt(path) },
        fix: `add ${path.at(-1)?.toString()}: …`,
      },
    ];
  }
  const allowed = issue.code === 'invalid_value' ? issue.values.map(String) : undefined;
  const guess = allowed && typeof found === 'string' ? didYouMean(found, allowed) : undefined;
  return [
    {
      code: 'DMAS_CFG_INVALID_VALUE',
      severity: 'error',
      message: `${dotted}: ${sentence(issue)}, got ${shown(found)}`,
      at: { file, ...source.valueAt(path) },
      ...(allowed ? { allowed } : {}),
      ...(guess === undefined ? {} : { didYouMean: guess }),
    },
  ];
}

/** Of a union's branches, the one that got furthest says most; discriminators name their choices. */
function unionProblem(
  issue: Extract<Issue, { code: 'invalid_union' }>,
  path: readonly PropertyKey[],
  dotted: string,
  source: SourceDocument,
  file: string,
  schema: z.ZodType,
): Problem[] {
  const discriminator = 'discriminator' in issue && typeof issue.discriminator === 'string' ? issue.discriminator : undefined;
  if (discriminator !== undefined) {
    const found = valueAt(source.value, path);
    const choices = discriminatorChoices(schema, path.slice(0, path.at(-1) === discriminator ? -1 : undefined), discriminator);
    const guess = typeof found === 'string' ? didYouMean(found, choices) : undefined;
    return [
      {
        code: 'DMAS_CFG_INVALID_VALUE',
        severity: 'error',
        message: `${dotted}: got ${shown(found)}`,
        at: { file, ...source.valueAt(path) },
        ...(choices.length > 0 ? { allowed: choices } : {}),
        ...(guess === undefined ? {} : { didYouMean: guess }),
      },
    ];
  }
  const deepest = [...issue.errors].sort((a, b) => depth(b) - depth(a))[0] ?? [];
  if (depth(deepest) > 0) return deepest.flatMap((inner) => toProblems(inner, [...path, ...inner.path], source, file, schema));
  const found = valueAt(source.value, path);
  const inner = issue.errors.flat();
  const allowed = inner.flatMap((each) => (each.code === 'invalid_value' ? each.values.map(String) : []));
  const guess = typeof found === 'string' ? didYouMean(found, allowed) : undefined;
  const forms = [...new Set(inner.filter((each) => each.code !== 'invalid_value').map(sentence))].join(', or ');
  return [
    {
      code: 'DMAS_CFG_INVALID_VALUE',
      severity: 'error',
      message: `${dotted}: ${forms}${allowed.length > 0 ? ', or one of the words allowed' : ''}, got ${shown(found)}`,
      at: { file, ...source.valueAt(path) },
      ...(allowed.length > 0 ? { allowed } : {}),
      ...(guess === undefined ? {} : { didYouMean: guess }),
    },
  ];
}

const depth = (issues: readonly Issue[]) =>
  Math.max(0, ...issues.map((issue) => issue.path.length + (issue.code === 'unrecognized_keys' ? 1 : 0)));

function sentence(issue: Issue): string {
  if (issue.code === 'invalid_format' && 'pattern' in issue)
    return issue.message.startsWith('Invalid string') ? 'has the wrong form' : `expected ${issue.message}`;
  if (issue.code === 'invalid_type') return `expected ${issue.expected}`;
  if (issue.code === 'too_small' && 'minimum' in issue)
    return `expected ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${itemsOf(issue.origin)}`;
  if (issue.code === 'too_big' && 'maximum' in issue) return `expected at most ${issue.maximum}${itemsOf(issue.origin)}`;
  return issue.message.replace(/^Invalid input: /, '').replace(/, received .*$/, '');
}

const itemsOf = (origin: string) => (origin === 'array' ? ' items' : origin === 'string' ? ' characters' : '');

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = typeof value === 'string' ? `"${value}"` : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let current = value;
  for (const key of path) {
    if (current === null || typeof current !== 'object') return undefined;
    current = (current as Record<PropertyKey, unknown>)[key];
  }
  return current;
}

/** Schemas under wrappers (default, optional, pipe …) down to what they wrap. */
function unwrap(schema: z.ZodType | undefined): z.ZodType[] {
  if (!schema) return [];
  const def = schema.def as unknown as { type: string; innerType?: z.ZodType; in?: z.ZodType; options?: z.ZodType[] };
  if (def.innerType) return unwrap(def.innerType);
  if (def.type === 'pipe' && def.in) return unwrap(def.in);
  if (def.type === 'union' && def.options) return def.options.flatMap(unwrap);
  return [schema];
}

function schemasAt(schema: z.ZodType, path: readonly PropertyKey[]): z.ZodType[] {
  let current = unwrap(schema);
  for (const key of path) {
    current = current.flatMap((candidate) => {
      const def = candidate.def as unknown as { shape?: Record<string, z.ZodType>; valueType?: z.ZodType; element?: z.ZodType };
      const next = def.shape ? def.shape[String(key)] : (def.valueType ?? def.element);
      return unwrap(next);
    });
  }
  return current;
}

function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  return [
    ...new Set(schemasAt(schema, path).flatMap((candidate) => Object.keys((candidate.def as unknown as { shape?: object }).shape ?? {}))),
  ];
}

function discriminatorChoices(schema: z.ZodType, path: readonly PropertyKey[], discriminator: string): string[] {
  return schemasAt(schema, path).flatMap((candidate) => {
    const shape = (candidate.def as unknown as { shape?: Record<string, z.ZodType> }).shape;
    const values = (shape?.[discriminator]?.def as unknown as { values?: unknown[] } | undefined)?.values;
    return (values ?? []).map(String);
  });
}
