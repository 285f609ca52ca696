/** How far the simplex reaches from its start along each axis. */
const reach = 0.5;

/**
 * The point at which `f` is smallest, found without derivatives (Nelder and Mead 1965, The Computer Journal 7; coefficients as
 * there). Ends after `evaluations`, or when all corners are within `tolerance` of each other in value.
 */
export function minimize(
  f: (x: readonly number[]) => number,
  start: readonly number[],
  evaluations: number,
  tolerance: number,
): { readonly x: readonly number[]; readonly value: number } {
  let used = 0;
  const at = (x: readonly number[]) => {
    used++;
    const value = f(x);
    return { x, value: Number.isFinite(value) ? value : Number.MAX_VALUE };
  };
  const corners = [at(start), ...start.map((_, axis) => at(start.map((value, i) => (i === axis ? value + reach : value))))];
  const order = () => corners.sort((a, b) => a.value - b.value);
  for (order(); used < evaluations; order()) {
    const [best, worst, second] = [corners[0], corners.at(-1), corners.at(-2)];
    if (!best || !worst || !second || worst.value - best.value < tolerance) break;
    const middle = start.map((_, i) => corners.slice(0, -1).reduce((sum, { x }) => sum + (x[i] ?? 0), 0) / start.length);
    const along = (step: number) => at(middle.map((value, i) => value + step * ((worst.x[i] ?? 0) - value)));
    const reflected = along(-1);
    let next = reflected;
    if (reflected.value < best.value) {
      const expanded = along(-2);
      if (expanded.value < reflected.value) next = expanded;
    } else if (reflected.value >= second.value) {
      next = along(reflected.value < worst.value ? -0.5 : 0.5);
      if (next.value >= Math.min(reflected.value, worst.value)) {
        // Nothing along the line helps: all corners move towards the best.
        for (let i = 1; i < corners.length; i++) {
          const corner = corners[i];
          if (corner) corners[i] = at(corner.x.map((value, axis) => (value + (best.x[axis] ?? 0)) / 2));
        }
        continue;
      }
    }
    corners[corners.length - 1] = next;
  }
  order();
  return corners[0] ?? at(start);
}
