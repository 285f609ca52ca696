/** Plain text work: everything here is real computing on the event loop. */
const stems = [
  'river',
  'stone',
  'market',
  'signal',
  'engine',
  'garden',
  'ledger',
  'harbour',
  'winter',
  'copper',
  'letter',
  'bridge',
  'archive',
  'candle',
  'meadow',
  'timber',
];
const endings = ['', 's', 'ing', 'ed', 'er', 'side', 'work', 'light'];

/** A document of about `sizeKb` KB, always the same for the same number. */
export function makeDocument(document: number, sizeKb: number): string {
  let state = (document * 2654435761 + 12345) >>> 0;
  const next = (bound: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % bound;
  };
  const words: string[] = [];
  let length = 0;
  while (length < sizeKb * 1024) {
    const word = `${stems[next(stems.length)]}${endings[next(endings.length)]}${next(12) === 0 ? '.\n' : ''}`;
    words.push(word);
    length += word.length + 1;
  }
  return words.join(' ');
}

export const normalize = (text: string): string => text.toLowerCase().replace(/\s+/g, ' ').trim();

export function cut(text: string, size: number, overlap: number): { id: number; text: string }[] {
  const passages: { id: number; text: string }[] = [];
  for (let start = 0; start < text.length; start += size - overlap)
    passages.push({ id: passages.length, text: text.slice(start, start + size) });
  return passages;
}

const words = (text: string): string[] => text.match(/[a-z]+/g) ?? [];

/** Near duplicates share most of their word trigrams; the smallest trigram hashes stand for all (Broder 1997). */
export function withoutNearDuplicates(passages: readonly { id: number; text: string }[]): { id: number; text: string }[] {
  const seen = new Set<number>();
  return passages.filter(({ text }) => {
    const tokens = words(text);
    const hashes: number[] = [];
    for (let i = 0; i + 2 < tokens.length; i++) hashes.push(hash(`${tokens[i]} ${tokens[i + 1]} ${tokens[i + 2]}`));
    const sketch = hashes.sort((a, b) => a - b).slice(0, 4);
    const known = sketch.filter((value) => seen.has(value)).length;
    for (const value of sketch) seen.add(value);
    return known < 3;
  });
}

function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

export function rankByTfIdf(
  query: string,
  passages: readonly { id: number; text: string }[],
): { id: number; text: string; score: number }[] {
  const terms = [...new Set(words(query.toLowerCase()))];
  const counts = passages.map(({ text }) => {
    const count = new Map<string, number>();
    for (const word of words(text)) count.set(word, (count.get(word) ?? 0) + 1);
    return count;
  });
  const rarity = terms.map((term) => Math.log((1 + passages.length) / (1 + counts.filter((count) => count.has(term)).length)));
  return passages
    .map((passage, index) => ({
      ...passage,
      score: Math.round(1000 * terms.reduce((sum, term, t) => sum + (counts[index]?.get(term) ?? 0) * (rarity[t] ?? 0), 0)) / 1000,
    }))
    .sort((a, b) => b.score - a.score || a.id - b.id);
}
