import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { protocols } from '../../cli/registry.ts';
import { searchableCombinations } from '../../runtime/protocols/prices.ts';
import type { Protocol, ProtocolDescriptor, ProtocolOptions } from '../../runtime/protocols/protocol.ts';
import { type Place, protocolSuite } from './protocol-suite.ts';

const descriptors: readonly ProtocolDescriptor[] = protocols;

const placeFor =
  (options: ProtocolOptions) =>
  async (protocol: Protocol): Promise<Place> => {
    if (protocol.bind(options) !== 'unix') return { at: { host: '127.0.0.1', port: 0 }, cleanUp: async () => {} };
    const folder = await mkdtemp(join(tmpdir(), 'dmas-protocol-'));
    return { at: { path: join(folder, 'unit.sock') }, cleanUp: () => rm(folder, { recursive: true }) };
  };

for (const descriptor of descriptors) {
  it(`the descriptor of ${descriptor.id} is complete`, () => {
    expect(descriptor.kind).toBe('protocol');
    expect(descriptor.title).not.toBe('');
    for (const options of searchableCombinations(descriptor)) expect(descriptor.options.safeParse(options).success).toBe(true);
    expect(descriptor.options.safeParse({ 'no-such-option': 1 }).success).toBe(false);
  });

  for (const options of searchableCombinations(descriptor)) protocolSuite(descriptor, options, placeFor(options));
}
