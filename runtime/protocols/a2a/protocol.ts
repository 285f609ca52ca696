import type { Protocol, ProtocolOptions } from '../protocol.ts';
import type { Binding } from './card.ts';
import { connectA2a } from './client.ts';
import { connectForeign } from './foreign-client.ts';
import { type A2aOptions, listenA2a } from './server.ts';

export const a2aProtocol: Protocol = {
  bind: () => 'tcp',
  listen: (at, handler, options, served) => listenA2a(at, handler, optionsOf(options), served),
  connect: (to, options) => (to.foreign === true ? connectForeign(to, optionsOf(options)) : connectA2a(to.at, optionsOf(options))),
};

/** Options have passed the descriptor's schema; a plan of an older version may lack some. */
function optionsOf({ binding = 'json-rpc', legacy = false, strangerDeadlineMs = 60_000 }: ProtocolOptions): A2aOptions {
  return { binding: binding as Binding, legacy: legacy === true, strangerDeadlineMs: Number(strangerDeadlineMs) };
}
