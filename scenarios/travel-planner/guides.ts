/** A small in-memory guide book, made from word lists so that the example ships no foreign text. */
const places = ['harbour', 'old town', 'market hall', 'cathedral', 'riverside', 'castle hill', 'botanical garden', 'museum quarter'];
const qualities = ['quiet', 'lively', 'historic', 'green', 'sunny', 'narrow', 'famous', 'hidden'];
const advice = [
  'go early',
  'bring a map',
  'stay for dinner',
  'walk uphill',
  'take the tram',
  'ask a local',
  'rest in the shade',
  'book ahead',
];

const pick = (list: readonly string[], n: number) => list[n % list.length] ?? '';

const passages = Array.from({ length: 400 }, (_, n) => ({
  title: `Guide ${n + 1}`,
  text: Array.from(
    { length: 12 },
    (_, s) => `The ${pick(qualities, n + s)} ${pick(places, n * 3 + s)}: ${pick(advice, n * 5 + s * 2)}.`,
  ).join(' '),
}));

const tokenize = (text: string): string[] => text.toLowerCase().match(/[a-z]+/g) ?? [];

/** Okapi BM25 with its usual constants (k1 = 1.2, b = 0.75; Robertson and Zaragoza 2009). */
export function rankPassages(query: string, limit: number): { title: string; score: number; text: string }[] {
  const terms = new Set(tokenize(query));
  const documents = passages.map((passage) => tokenize(passage.text));
  const averageLength = documents.reduce((sum, words) => sum + words.length, 0) / documents.length;
  const documentFrequency = new Map<string, number>();
  for (const words of documents)
    for (const term of terms) if (words.includes(term)) documentFrequency.set(term, (documentFrequency.get(term) ?? 0) + 1);
  return documents
    .map((words, index) => {
      let score = 0;
      for (const term of terms) {
        const frequency = words.filter((word) => word === term).length;
        const seen = documentFrequency.get(term) ?? 0;
        const rarity = Math.log(1 + (documents.length - seen + 0.5) / (seen + 0.5));
        score += (rarity * frequency * 2.2) / (frequency + 1.2 * (0.25 + (0.75 * words.length) / averageLength));
      }
      return { index, score };
    })
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, limit)
    .map(({ index, score }) => ({
      title: passages[index]?.title ?? '',
      score: Math.round(score * 1000) / 1000,
      text: passages[index]?.text.slice(0, 200) ?? '',
    }));
}
