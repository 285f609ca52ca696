const binary = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const decimal: { readonly [suffix: string]: number } = {
  ...{ n: 1e-9, u: 1e-6, m: 1e-3, '': 1 },
  ...{ k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 },
};

/** A quantity of the Kubernetes API (`500m`, `1.5Gi`, `2e3`) as a number; 0 where it is none. */
export function quantityOf(text: unknown): number {
  const [, digits, suffix = '', exponent] =
    /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d+))?$/.exec(String(text)) ?? [];
  if (digits === undefined) return 0;
  if (exponent !== undefined) return Number(digits) * 10 ** Number(exponent);
  const power = binary.indexOf(suffix);
  return Number(digits) * (power >= 0 ? 1024 ** (power + 1) : (decimal[suffix] ?? 1));
}

/** An amount for people: bytes in Gi or Mi, everything else as it is. */
export function amountText(resource: string, amount: number): string {
  if (!/memory|storage/.test(resource)) return String(Math.round(amount * 1000) / 1000);
  const [size, unit] = amount >= 1024 ** 3 ? [1024 ** 3, 'Gi'] : [1024 ** 2, 'Mi'];
  return `${Math.round((amount / size) * 100) / 100}${unit}`;
}
