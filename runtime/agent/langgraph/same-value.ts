/** Whether two values are alike in depth. What both hold as one and the same object is not looked into. */
export function sameValue(a: unknown, b: unknown, depth = 0): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || depth > 256) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime();
  if (a instanceof Map && b instanceof Map) return sameValue([...a], [...b], depth + 1);
  if (a instanceof Set && b instanceof Set) return sameValue([...a], [...b], depth + 1);
  const [left, right] = [Object.entries(a), Object.entries(b)];
  return (
    left.length === right.length &&
    left.every(([key, member], index) => key === right[index]?.[0] && sameValue(member, right[index]?.[1], depth + 1))
  );
}
