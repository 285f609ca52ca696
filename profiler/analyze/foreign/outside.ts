import { hostWord, parseOutsideHost } from '../../../compiler/contracts/outside-host.ts';
import type { TracedPlace } from '../../../compiler/contracts/trace-digest.ts';
import { text } from '../../collect/conventions/convention.ts';
import type { ForeignSpan } from '../../collect/foreign/span.ts';

/** Client spans remembered until the end; beyond it the rest is not looked at. About 100 bytes each. */
const mostSpans = 1_000_000;
const loopback = /^(localhost|127\.|::1$|0\.0\.0\.0$)/;

/** The place a client's span names: its URL first, which has the scheme, else address and port. */
function placeOf({ attributes }: ForeignSpan): string | undefined {
  const url = text(attributes, 'url.full', 'http.url');
  const address = text(attributes, 'server.address', 'net.peer.name', 'net.host.name');
  const port = text(attributes, 'server.port', 'net.peer.port');
  const scheme = text(attributes, 'url.scheme', 'http.scheme');
  const bare = address?.includes(':') && !address.startsWith('[') ? `[${address}]` : address;
  const named =
    bare === undefined
      ? undefined
      : `${scheme === 'http' && port === undefined ? 'http://' : ''}${bare}${port === undefined ? '' : `:${port}`}`;
  const place =
    url !== undefined && /^https?:\/\//i.test(url) ? parseOutsideHost(url) : named === undefined ? undefined : parseOutsideHost(named);
  return place === undefined || loopback.test(place.host) ? undefined : hostWord(place);
}

/**
 * Collects the places traced components call that do not trace back: a client's span that names an address and under
 * which no server's span stands. What they are called by is the unit or service that sent the span.
 */
export function createOutsidePlaces() {
  const calls = new Map<string, string>();
  const served = new Set<string>();
  return {
    add(span: ForeignSpan): void {
      if (span.kind === 'server' && span.parentSpanId !== undefined) served.add(span.parentSpanId);
      if (span.kind !== 'client' || calls.size >= mostSpans) return;
      const place = placeOf(span);
      const by = text(span.resource.attributes, 'dmas.unit', 'service.name') ?? 'unknown';
      if (place !== undefined) calls.set(span.spanId, `${by}\n${place}`);
    },
    result(): readonly TracedPlace[] {
      const counts = new Map<string, number>();
      for (const [id, key] of calls) if (!served.has(id)) counts.set(key, (counts.get(key) ?? 0) + 1);
      return [...counts]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, count]) => {
          const [by = '', place = ''] = key.split('\n');
          return { by, place, calls: count };
        });
    },
  };
}
