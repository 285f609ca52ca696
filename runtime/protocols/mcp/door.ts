import {
  Client,
  type ClientOptions,
  type ConnectOptions,
  SdkHttpError,
  StreamableHTTPClientTransport,
  type Tool,
  type VersionNegotiationMode,
} from '@modelcontextprotocol/client';
import { type CallWire, type McpWire, wireHeader } from './fetch.ts';

export const revisions = { stateless: '2026-07-28', handshake: '2025-11-25' } as const;

/** Longest a handshake or a listing may take; calls have their own deadline. */
const handshakeMs = 10_000;
/** For how long a session's end is said to a server before it is just left. */
const goodbyeMs = 500;

export interface DoorOptions {
  readonly url: string;
  /** As the protocol's option; `known` is the stateless revision without asking, for a unit of ours. */
  readonly revision: 'auto' | '2026-07-28' | '2025-11-25' | 'known';
  readonly foreign: boolean;
  readonly listTtlMs: number;
}

/** One MCP endpoint: its client, made at the first call and again when its session is gone. */
export class Door {
  readonly #options: DoorOptions;
  readonly #wire: McpWire;
  #client: Promise<Client> | undefined;
  #listing: Promise<readonly Tool[]> | undefined;
  #closed = false;
  /** By name, as last listed. */
  readonly tools = new Map<string, Tool>();

  constructor(options: DoorOptions, wire: McpWire) {
    this.#options = options;
    this.#wire = wire;
  }

  /**
   * Runs `work` with a connected client. A session the server has forgotten (it was restarted, or tired of us) is made
   * anew, once: such a call was never begun.
   */
  async use<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const client = await this.#connected();
    try {
      return await work(client);
    } catch (error) {
      if (!isSessionGone(error) || client.getProtocolEra() !== 'legacy' || this.#closed) throw error;
      this.#client = undefined;
      void client.close().catch(() => {});
      return work(await this.#connected());
    }
  }

  /** The tools of the server; asked for once however many ask, and kept for as long as the server says they hold. */
  list(): Promise<readonly Tool[]> {
    this.#listing ??= this.use((client) => client.listTools(undefined, { timeout: handshakeMs }))
      .then(({ tools }) => {
        this.tools.clear();
        for (const tool of tools) this.tools.set(tool.name, tool);
        return tools;
      })
      .finally(() => {
        this.#listing = undefined;
      });
    return this.#listing;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const client = await this.#client?.catch(() => undefined);
    if (client === undefined) return;
    const { transport } = client;
    if (transport instanceof CallTransport && transport.sessionId !== undefined) {
      let timer: NodeJS.Timeout | undefined;
      const enough = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, goodbyeMs);
      });
      await Promise.race([transport.terminateSession().catch(() => {}), enough]);
      clearTimeout(timer);
    }
    await client.close().catch(() => {});
  }

  #connected(): Promise<Client> {
    if (this.#client !== undefined) return this.#client;
    const connecting = this.#connect();
    this.#client = connecting;
    connecting.catch(() => {
      if (this.#client === connecting) this.#client = undefined;
    });
    return connecting;
  }

  async #connect(): Promise<Client> {
    const { url, revision, foreign, listTtlMs } = this.#options;
    const options: ClientOptions = {
      versionNegotiation: { mode: modeOf(revision) },
      // Of a unit of ours questions come as typed errors. Elicitation is answered by a later call, never while one is open.
      capabilities: foreign ? { elicitation: { form: {} } } : {},
      inputRequired: { autoFulfill: false },
      defaultCacheTtlMs: listTtlMs,
      listChanged: { tools: { autoRefresh: false, onChanged: () => {} } },
    };
    const client = new Client({ name: 'dmas-opt', version: '1' }, options);
    if (foreign) client.setRequestHandler('elicitation/create', async () => ({ action: 'cancel' }));
    const connect: ConnectOptions = { timeout: handshakeMs, ...(revision === 'known' ? { prior: knownServer } : {}) };
    try {
      await client.connect(new CallTransport(new URL(url), this.#wire), connect);
    } catch (error) {
      await client.close().catch(() => {});
      throw error;
    }
    return client;
  }
}

const knownServer: NonNullable<ConnectOptions['prior']> = {
  kind: 'modern',
  discover: {
    resultType: 'complete',
    supportedVersions: [revisions.stateless],
    capabilities: { tools: { listChanged: true } },
    ttlMs: 0,
    cacheScope: 'private',
  },
};

function modeOf(revision: DoorOptions['revision']): VersionNegotiationMode {
  if (revision === revisions.handshake) return 'legacy';
  return revision === 'auto' ? 'auto' : { pin: revisions.stateless };
}

/** The transport of the SDK, made to say when a reply breaks off. */
class CallTransport extends StreamableHTTPClientTransport {
  readonly #calls: ReadonlyMap<string, CallWire>;

  constructor(url: URL, { fetch, calls }: McpWire) {
    super(url, { fetch });
    this.#calls = calls;
  }

  override send(...[message, options]: Parameters<StreamableHTTPClientTransport['send']>): Promise<void> {
    const call = this.#calls.get(options?.headers?.[wireHeader] ?? '');
    if (call === undefined) return super.send(message, options);
    call.sendingSince = performance.now();
    return super.send(message, { ...options, onRequestStreamEnd: () => call.brokeOff() });
  }
}

const isSessionGone = (error: unknown) => error instanceof SdkHttpError && error.status === 404;
