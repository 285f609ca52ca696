/** What a unit and the limiter say to each other: one JSON value per line, both ways over one long request. */
export type ToLimiter =
  | { readonly ask: number; readonly model: string; readonly tokens: number }
  /** A permit given before the connection broke. */
  | { readonly hold: number; readonly model: string; readonly tokens: number }
  | { readonly sent: number }
  | { readonly leave: number; readonly tokens?: number }
  /** A sign of life. */
  | { readonly beat: true };

export type FromLimiter = { readonly granted: number } | { readonly refused: number; readonly why: string };

/** How often a unit that holds a connection says that it lives, in milliseconds. */
export const beatMs = 5_000;
/**
 * A unit that said nothing for so long is taken for dead and its permits come back, three beats as usual for leases. One
 * whose process ends is known at once: its connection closes.
 */
export const leaseMs = 3 * beatMs;

/** Cuts a stream of text into whole lines. */
export function lineReader(take: (line: string) => void): (piece: string) => void {
  let rest = '';
  return (piece) => {
    const lines = (rest + piece).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') take(line);
  };
}
