import type { Problem } from '../compiler/contracts/index.ts';

const reference = /\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g;

/**
 * Replaces `${env:NAME}` and `${env:NAME:-default}`. A text that is one reference and nothing else takes the YAML type
 * of its replacement (`8` is a number), so that numbers can come from the environment too.
 */
export function substituteEnvironment(
  text: string,
  environment: { readonly [name: string]: string | undefined },
): { value: unknown } | { problem: Omit<Problem, 'at'> } {
  const missing: string[] = [];
  const replaced = text.replace(reference, (_all, name: string, fallback: string | undefined) => {
    const found = environment[name] ?? fallback;
    if (found === undefined) missing.push(name);
    return found ?? '';
  });
  if (missing.length > 0) {
    const names = missing.join(', ');
    return {
      problem: {
        code: 'DMAS_CFG_MISSING_ENV',
        severity: 'error',
        message: `environment variable ${names} is not set`,
        fix: `set ${names}, or write \${env:${missing[0]}:-default}`,
      },
    };
  }
  const whole = text.match(reference);
  return { value: whole?.length === 1 && whole[0] === text ? asScalar(replaced) : replaced };
}

function asScalar(text: string): unknown {
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (text === 'true' || text === 'false') return text === 'true';
  return text;
}
