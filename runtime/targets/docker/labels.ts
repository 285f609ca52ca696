/** Labels of everything this target creates, by which it is found again. */
export const labels = {
  deployment: 'dmas-opt.deployment',
  /** JSON of `LeaseOwner`. */
  owner: 'dmas-opt.owner',
  replica: 'dmas-opt.replica',
  image: 'dmas-opt.node',
} as const;

/** A name the engine accepts for containers and networks, and that its name server answers. */
export const dockerName = (text: string): string =>
  text
    .replace(/[^a-zA-Z0-9.-]/g, '-')
    .replace(/^[^a-zA-Z0-9]+/, '')
    .slice(0, 48);
