import { attr } from '../../../compiler/contracts/trace-attributes.ts';
import { type Act, behind, type Convention, fill, quantity, text } from './convention.ts';

/** Our own spans (see `trace-attributes.ts`), from a deployment whose traces were sent elsewhere, too. */
export const dmas: Convention = {
  id: 'dmas',
  read({ name, kind, attributes }, reading) {
    const act = ownAct(name, kind);
    if (!act || !ownKeys.some((key) => attributes.has(key))) return false;
    reading.act = act;
    fill(reading, 'subject', text(attributes, attr.to) ?? behind(name, name.slice(0, name.indexOf(' '))));
    fill(reading, 'requestBytes', quantity(attributes, attr.requestBytes));
    fill(reading, 'responseBytes', quantity(attributes, attr.responseBytes));
    fill(reading, 'queueMs', quantity(attributes, attr.queueMs));
    // Busy time of an event loop is that turn's own only while it ran alone.
    if ((quantity(attributes, attr.concurrency) ?? 1) <= 1) fill(reading, 'cpuMs', quantity(attributes, attr.activeMs));
    fill(reading, 'requestClass', text(attributes, attr.requestClass));
    if (act === 'call' || act === 'serve') fill(reading, 'protocol', text(attributes, attr.rpcSystem));
    if (kind === 'producer' || kind === 'consumer') reading.oneWay = true;
    return true;
  },
};

const ownKeys = [attr.requestId, attr.channel, attr.from, attr.to, attr.unit, attr.activeMs, attr.outcome, attr.queueMs, attr.requestClass];

/** As `spanName` writes them. */
function ownAct(name: string, kind: string): Act | undefined {
  if (name === 'ingress') return 'entry';
  if (name.startsWith('call ') && (kind === 'client' || kind === 'producer')) return 'call';
  if (name.startsWith('serve ') && (kind === 'server' || kind === 'consumer')) return 'serve';
  if (name.startsWith('invoke_agent ')) return 'agent';
  if (name.startsWith('execute_tool ')) return 'tool';
  return name.startsWith('chat ') ? 'model' : undefined;
}
