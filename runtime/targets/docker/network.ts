import type Docker from 'dockerode';
import { thisOwner } from '../process/lease.ts';
import { dockerName, labels } from './labels.ts';
import { openRelay, type Relay } from './relay.ts';

/** Under this name containers reach the machine of the engine; Docker's own word. */
export const engineHost = 'host.docker.internal';
const loopback = new Set(['127.0.0.1', 'localhost', '[::1]', '0.0.0.0']);

/** The network of one deployment: its containers see each other by name, and nobody else's. */
interface DeploymentNetwork {
  readonly name: string;
  /** The same receivers as containers reach them. */
  readonly otlpEndpoints: readonly string[];
  close(): Promise<void>;
}

export const ownerLabels = (deploymentId: string) => ({ [labels.deployment]: deploymentId, [labels.owner]: JSON.stringify(thisOwner()) });

export async function openNetwork(docker: Docker, deploymentId: string, otlpEndpoints: readonly string[]): Promise<DeploymentNetwork> {
  const name = `dmas-${dockerName(deploymentId)}`;
  const network = await docker.createNetwork({ Name: name, Driver: 'bridge', CheckDuplicate: true, Labels: ownerLabels(deploymentId) });
  const relays: Relay[] = [];
  const close = async () => {
    await Promise.all(relays.map((relay) => relay.close()));
    await network.remove();
  };
  try {
    const gateway = (await network.inspect()).IPAM?.Config?.[0]?.Gateway ?? '';
    const seen = [];
    for (const endpoint of otlpEndpoints) seen.push(await fromInside(endpoint, gateway, relays));
    return { name, otlpEndpoints: seen, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Receivers on this machine's loopback are not reachable from a container: they get a way in at the gateway. */
async function fromInside(endpoint: string, gateway: string, relays: Relay[]): Promise<string> {
  const url = new URL(endpoint);
  if (!loopback.has(url.hostname)) return endpoint;
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  try {
    const relay = await openRelay(gateway, { host: url.hostname === '[::1]' ? '::1' : '127.0.0.1', port });
    relays.push(relay);
    url.hostname = gateway;
    url.port = String(relay.port);
  } catch {
    // The engine runs in a virtual machine that passes this name on to our loopback.
    url.hostname = engineHost;
  }
  return url.href.replace(/\/$/, '');
}
