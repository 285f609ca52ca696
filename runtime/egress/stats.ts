import { type HostPort, hostWord } from '../../compiler/contracts/outside-host.ts';
import type { Refusal } from './allow.ts';

/** What one caller did outside since the start. */
export interface EgressStats {
  /** Connections and requests under way. */
  readonly open: number;
  readonly allowed: { readonly [place: string]: number };
  readonly refused: readonly { readonly place: string; readonly reason: Refusal; readonly count: number }[];
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

export interface CallerStats {
  readonly open: number;
  opened(place: HostPort): void;
  closed(bytes: { readonly sentBytes: number; readonly receivedBytes: number }): void;
  refused(place: HostPort, reason: Refusal): void;
  read(): EgressStats;
}

/** Whoever tries every host of the world must not fill the memory. */
const mostRefusals = 256;

/** `onRefusal` is called once for each place and reason. */
export function createCallerStats(onRefusal: (place: string, reason: Refusal) => void): CallerStats {
  const allowed = new Map<string, number>();
  const refusals = new Map<string, { place: string; reason: Refusal; count: number }>();
  let open = 0;
  let sentBytes = 0;
  let receivedBytes = 0;
  return {
    get open() {
      return open;
    },
    opened(place) {
      open += 1;
      allowed.set(hostWord(place), (allowed.get(hostWord(place)) ?? 0) + 1);
    },
    closed(bytes) {
      open -= 1;
      sentBytes += bytes.sentBytes;
      receivedBytes += bytes.receivedBytes;
    },
    refused(where, reason) {
      const place = where.host === '' ? '' : hostWord(where);
      const key = `${reason} ${place}`;
      const known = refusals.get(key);
      if (known !== undefined) known.count += 1;
      else if (refusals.size < mostRefusals) {
        refusals.set(key, { place, reason, count: 1 });
        onRefusal(place, reason);
      }
    },
    read: () => ({
      open,
      allowed: Object.fromEntries(allowed),
      refused: [...refusals.values()].map((each) => ({ ...each })),
      sentBytes,
      receivedBytes,
    }),
  };
}
