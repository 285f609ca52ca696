/** Labels of everything this target creates, by which it is found again. */
export const labels = {
  deployment: 'dmas-opt.deployment',
  /** JSON of `LeaseOwner`. */
  owner: 'dmas-opt.owner',
  replica: 'dmas-opt.replica',
  image: 'dmas-opt.node',
} as const;

const longestName = 48;
/** The end of an id holds the replica and the count of starts. */
const keptEnd = 16;

/** A name the engine accepts for containers and networks, and that its name server answers. */
export function dockerName(text: string): string {
  const name = text.replace(/[^a-zA-Z0-9.-]/g, '-').replace(/^[^a-zA-Z0-9]+/, '');
  return name.length <= longestName ? name : `${name.slice(0, longestName - keptEnd)}${name.slice(-keptEnd)}`;
}
