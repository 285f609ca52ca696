import type { Json } from '../../compiler/contracts/index.ts';

/** Shorter values are words, not secrets: replacing them would spoil texts. */
const shortestSecret = 6;

/**
 * How keys of well-known services look. Sources: the formats GitHub's secret scanning documents
 * (https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns) and RFC 7519
 * for JSON Web Tokens.
 */
const shapes: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----/g, '<secret:private-key>'],
  [/\b(?:sk|pk|rk)-(?:[A-Za-z0-9]+-)*[A-Za-z0-9_-]{16,}/g, '<secret:api-key>'],
  [/\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}/g, '<secret:stripe>'],
  [/\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g, '<secret:aws>'],
  [/\bAIza[0-9A-Za-z_-]{35}/g, '<secret:google>'],
  [/\b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{22,}/g, '<secret:github>'],
  [/\bglpat-[A-Za-z0-9_-]{20,}/g, '<secret:gitlab>'],
  [/\bhf_[A-Za-z0-9]{30,}/g, '<secret:hugging-face>'],
  [/\bxox[abeoprs]-[A-Za-z0-9-]{10,}/g, '<secret:slack>'],
  [/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}/g, '<secret:jwt>'],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/-]{12,}=*/gi, '$1 <secret:authorization>'],
  [/(:\/\/[^\s:/@]{1,64}:)[^\s@/]{3,}@/g, '$1<secret:password>@'],
];

export type Scrub = (text: string) => string;

/**
 * Takes secrets out of texts: the values of the given variables, whatever they look like, and everything of a known shape.
 * The same text gives the same result, so that what is recorded and what is looked up have equal keys.
 */
export function createScrubber(secrets: { readonly [name: string]: string | undefined }): Scrub {
  const values = Object.entries(secrets)
    .flatMap(([name, value]) => (value !== undefined && value.length >= shortestSecret ? [[name, value] as const] : []))
    // The longest first, so that one that holds another goes as a whole.
    .sort(([a, x], [b, y]) => y.length - x.length || (a < b ? -1 : 1));
  return (text) => {
    let clean = text;
    for (const [name, value] of values) clean = clean.replaceAll(value, `<secret:${name}>`);
    for (const [shape, word] of shapes) clean = clean.replace(shape, word);
    return clean;
  };
}

/** Every text in a JSON value, names of members included. */
export function scrubJson(value: Json, scrub: Scrub): Json {
  if (typeof value === 'string') return scrub(value);
  if (Array.isArray(value)) return value.map((item: Json) => scrubJson(item, scrub));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [scrub(key), scrubJson(member as Json, scrub)]));
}

/** Variables of an environment that hold secrets by their name. */
export const secretVariables = (environment: NodeJS.ProcessEnv, named: readonly string[] = []): { [name: string]: string | undefined } =>
  Object.fromEntries(
    Object.entries(environment).filter(([name]) => named.includes(name) || /(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$/i.test(name)),
  );
