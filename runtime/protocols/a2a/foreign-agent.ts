import type { AgentCard, AgentInterface } from '@a2a-js/sdk';
import { DefaultAgentCardResolver, JsonRpcTransportFactory, RestTransportFactory } from '@a2a-js/sdk/client';
import { CallError, httpUrl, type ReplicaAddress } from '../../../compiler/contracts/index.ts';
import { bindingNames } from './card.ts';
import { failureOf } from './failures.ts';
import { type A2aFetch, createA2aFetch } from './fetch.ts';
import type { A2aOptions } from './server.ts';
import { fromSdk, type Transport } from './transport.ts';

/** How one agent is spoken to, chosen from its card. */
export interface Interface {
  readonly transport: Transport;
  readonly tenant: string;
  readonly version: string;
  readonly streams: boolean;
  /** A streamed task has to be asked for once more when it is over: the SDK loses `append` in REST of 0.3. */
  readonly losesPieces: boolean;
}

/** A card is asked for again after this, so that an agent that moved is found without a restart. */
const cardLifeMs = 10 * 60_000;

/** Finds a stranger's agent by its card, once for all calls. */
export class ForeignAgent {
  readonly #to: ReplicaAddress;
  readonly #options: A2aOptions;
  readonly #http: A2aFetch = createA2aFetch(new WeakMap());
  #known: { readonly face: Promise<Interface>; readonly untilMs: number } | undefined;
  readonly #opened: Transport[] = [];

  constructor(to: ReplicaAddress, options: A2aOptions) {
    this.#to = to;
    this.#options = options;
  }

  /** @throws CallError */
  interface(): Promise<Interface> {
    if (this.#known !== undefined && performance.now() < this.#known.untilMs) return this.#known.face;
    const face = this.#find();
    const known = { face, untilMs: performance.now() + cardLifeMs };
    this.#known = known;
    // Not found is not for ever.
    face.catch(() => {
      if (this.#known === known) this.#known = undefined;
    });
    return face;
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map((transport) => transport.close()));
    await this.#http.close();
  }

  async #find(): Promise<Interface> {
    const url = this.#to.url ?? httpUrl(this.#to.at);
    const legacyCompat = { enabled: this.#options.legacy };
    const resolver = new DefaultAgentCardResolver({ fetchImpl: this.#http.fetch, legacyCompat });
    let card: AgentCard;
    try {
      card = await (url.endsWith('.json')
        ? resolver.resolve(url, '')
        : resolver.resolve(`${url.replace(/\/+$/, '')}/`, '.well-known/agent-card.json'));
    } catch (error) {
      const failure = failureOf(error, `the card of ${url}`);
      // Without a card nothing was asked of the agent, so another try is safe.
      throw new CallError({ ...failure.value, ...(failure.code === 'unavailable' ? { neverStarted: true } : {}) }, { cause: error });
    }
    const interfaces = interfacesOf(card);
    const chosen = choose(interfaces, this.#options);
    if (chosen === undefined) throw noInterface(url, card.name, interfaces, this.#options);
    const transport = await this.#open(card, { ...chosen, url: reachable(chosen.url, this.#to) });
    this.#opened.push(transport);
    return {
      transport,
      tenant: chosen.tenant,
      version: chosen.protocolVersion,
      streams: card.capabilities?.streaming === true,
      losesPieces: isOld(chosen) && chosen.protocolBinding === bindingNames.rest,
    };
  }

  async #open(card: AgentCard, chosen: AgentInterface): Promise<Transport> {
    const { protocolBinding, url } = chosen;
    const old = isOld(chosen);
    if (protocolBinding === bindingNames.grpc) {
      const { grpcTransport, legacyGrpcTransport } = await import('./grpc-transport.ts');
      const address = url.replace(/^[a-z]+:\/\//, '').replace(/\/$/, '');
      return old ? legacyGrpcTransport(address, card) : grpcTransport(address);
    }
    const options = { fetchImpl: this.#http.fetch, legacyCompat: { enabled: this.#options.legacy } };
    const factory = protocolBinding === bindingNames.rest ? new RestTransportFactory(options) : new JsonRpcTransportFactory(options);
    // The factory looks the version up by the URL, so the card must have the one we use.
    const sdk = await factory.create(url, { ...card, supportedInterfaces: [chosen] });
    return fromSdk(sdk, async () => {});
  }
}

/** The SDK hands a card of 1.0 on as it came, so fields with a default may be missing. */
function interfacesOf({ supportedInterfaces = [] }: Partial<AgentCard>): AgentInterface[] {
  return supportedInterfaces.map(({ url, protocolBinding, tenant, protocolVersion }: Partial<AgentInterface>) => ({
    url: url ?? '',
    protocolBinding: protocolBinding ?? '',
    tenant: tenant ?? '',
    protocolVersion: protocolVersion || '1.0',
  }));
}

const isOld = ({ protocolVersion }: AgentInterface) => protocolVersion.startsWith('0.');

/** The asked-for binding where the card has it, else the first of the card that we speak; 1.0 before 0.3. */
function choose(interfaces: readonly AgentInterface[], { binding, legacy }: A2aOptions): AgentInterface | undefined {
  const known = new Set(Object.values(bindingNames));
  const spoken = interfaces
    .filter((candidate) => known.has(candidate.protocolBinding) && (legacy || !isOld(candidate)))
    .sort((a, b) => Number(isOld(a)) - Number(isOld(b)));
  return spoken.find(({ protocolBinding }) => protocolBinding === bindingNames[binding]) ?? spoken[0];
}

/** Agents that listen everywhere often write that into their card; nobody can connect to "everywhere". */
function reachable(url: string, { at }: ReplicaAddress): string {
  return 'host' in at ? url.replace(/^((?:[a-z]+:\/\/)?)(?:0\.0\.0\.0|\[::\])(?=[:/]|$)/, `$1${at.host}`) : url;
}

function noInterface(url: string, name: string, interfaces: readonly AgentInterface[], { legacy }: A2aOptions): CallError {
  const offered = interfaces.map(({ protocolBinding, protocolVersion }) => `${protocolBinding} ${protocolVersion}`).join(', ');
  const hint = legacy ? '' : '; with the option legacy: true A2A 0.3 is spoken too';
  const message = `${name} at ${url} offers ${offered || 'no interface'}, of which none is spoken here${hint}`;
  return new CallError({ code: 'unavailable', message, neverStarted: true });
}
