/** Binary min-heap of (key, value) pairs in typed arrays; grows as needed. Equal keys come out in any, but always the same, order. */
export interface EventHeap {
  push(key: number, value: number): void;
  /** Value with the smallest key; only when `size() > 0`. */
  pop(): number;
  /** Smallest key, infinity when empty. */
  topKey(): number;
  size(): number;
  clear(): void;
}

export function createEventHeap(capacity = 1024): EventHeap {
  let keys = new Float64Array(capacity);
  let values = new Int32Array(capacity);
  let count = 0;

  const grow = () => {
    const moreKeys = new Float64Array(keys.length * 2);
    const moreValues = new Int32Array(values.length * 2);
    moreKeys.set(keys);
    moreValues.set(values);
    keys = moreKeys;
    values = moreValues;
  };

  return {
    push(key, value) {
      if (count === keys.length) grow();
      let hole = count++;
      while (hole > 0) {
        const above = (hole - 1) >> 1;
        const aboveKey = keys[above] as number;
        if (aboveKey <= key) break;
        keys[hole] = aboveKey;
        values[hole] = values[above] as number;
        hole = above;
      }
      keys[hole] = key;
      values[hole] = value;
    },
    pop() {
      const top = values[0] as number;
      count--;
      const key = keys[count] as number;
      const value = values[count] as number;
      let hole = 0;
      for (;;) {
        let below = 2 * hole + 1;
        if (below >= count) break;
        if (below + 1 < count && (keys[below + 1] as number) < (keys[below] as number)) below++;
        if ((keys[below] as number) >= key) break;
        keys[hole] = keys[below] as number;
        values[hole] = values[below] as number;
        hole = below;
      }
      keys[hole] = key;
      values[hole] = value;
      return top;
    },
    topKey: () => (count > 0 ? (keys[0] as number) : Number.POSITIVE_INFINITY),
    size: () => count,
    clear: () => {
      count = 0;
    },
  };
}
