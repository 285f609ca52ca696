const binary = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const decimal: { readonly [suffix: string]: number } = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
};
const form = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d+))?$/;

/** A Kubernetes quantity as a number, or null where it is none. */
export function quantity(text: string | number): number | null {
  const found = form.exec(String(text));
  if (!found) return null;
  const [, digits, suffix = '', exponent] = found;
  const value = Number(digits);
  if (exponent !== undefined) return value * 10 ** Number(exponent);
  const power = binary.indexOf(suffix);
  return power >= 0 ? value * 1024 ** (power + 1) : value * (decimal[suffix] ?? 1);
}
