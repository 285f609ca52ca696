import { describe, expect, it } from 'vitest';
import { createOutsidePlaces } from '../../../profiler/analyze/foreign/outside.ts';
import type { ForeignSpan } from '../../../profiler/collect/foreign/span.ts';

let ids = 0;
function span(
  kind: ForeignSpan['kind'],
  attributes: Record<string, string | number>,
  rest: { parent?: string; service?: string } = {},
): ForeignSpan {
  ids += 1;
  return {
    traceId: 't',
    spanId: `s${ids}`,
    parentSpanId: rest.parent,
    name: 'GET',
    kind,
    startMs: 0,
    durationMs: 1,
    reversed: false,
    ok: true,
    resource: { attributes: new Map([['service.name', rest.service ?? 'weather']]) },
    scope: '',
    attributes: new Map(Object.entries(attributes)),
    link: undefined,
    follows: false,
  };
}

describe('places outside that traces show', () => {
  it('are told by who called them, in one spelling', () => {
    const places = createOutsidePlaces();
    places.add(span('client', { 'url.full': 'https://API.example.com/v1/now?q=secret' }));
    places.add(span('client', { 'http.url': 'https://api.example.com/v1/then' }));
    places.add(span('client', { 'server.address': 'db.example', 'server.port': 5432 }, { service: 'crm' }));
    places.add(span('client', { 'server.address': 'plain.example', 'url.scheme': 'http' }));
    places.add(span('client', { 'net.peer.name': 'fd00::1', 'net.peer.port': '8080' }));
    expect(places.result()).toEqual([
      { by: 'crm', place: 'db.example:5432', calls: 1 },
      { by: 'weather', place: '[fd00::1]:8080', calls: 1 },
      { by: 'weather', place: 'api.example.com:443', calls: 2 },
      { by: 'weather', place: 'plain.example:80', calls: 1 },
    ]);
  });

  it('are none that answered with spans of their own, none of this machine, and no servers’ own addresses', () => {
    const places = createOutsidePlaces();
    const inside = span('client', { 'url.full': 'http://reviewer:8000/' });
    places.add(inside);
    places.add(span('server', { 'server.address': 'reviewer' }, { parent: inside.spanId, service: 'reviewer' }));
    places.add(span('client', { 'url.full': 'http://127.0.0.1:9/' }));
    places.add(span('client', { 'server.address': 'localhost' }));
    places.add(span('client', { 'server.address': 'not a host' }));
    places.add(span('internal', { 'server.address': 'x.example' }));
    places.add(span('client', {}));
    expect(places.result()).toEqual([]);
  });
});
