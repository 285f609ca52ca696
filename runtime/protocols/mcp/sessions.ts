import { randomUUID } from 'node:crypto';
import { isInitializeRequest, type Server, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server';

/** A session nobody used for so long is forgotten; its client then makes a new one, as the specification has it. */
const idleMs = 10 * 60_000;
/** Beyond it the session that was idle the longest goes: a client that never says goodbye must not fill the memory. */
const mostSessions = 1_024;

interface Session {
  readonly server: Server;
  readonly transport: WebStandardStreamableHTTPServerTransport;
  usedAt: number;
}

/**
 * The sessions of clients of revision 2025-11-25 and before. They live in this process: such a client must come back to
 * the replica that answered its handshake.
 */
export class Sessions {
  readonly #makeServer: () => Server;
  readonly #sessions = new Map<string, Session>();
  readonly #sweeper: NodeJS.Timeout;

  constructor(makeServer: () => Server) {
    this.#makeServer = makeServer;
    this.#sweeper = setInterval(() => this.#sweep(Date.now() - idleMs), idleMs / 10);
    this.#sweeper.unref();
  }

  async fetch(request: Request, parsedBody: unknown): Promise<Response> {
    const id = request.headers.get('mcp-session-id');
    const session = id === null ? undefined : this.#sessions.get(id);
    const body = parsedBody === undefined ? {} : { parsedBody };
    if (session !== undefined) {
      session.usedAt = Date.now();
      return session.transport.handleRequest(request, body);
    }
    const messages = Array.isArray(parsedBody) ? parsedBody : [parsedBody];
    if (id === null && messages.some((message) => isInitializeRequest(message))) {
      const { transport } = await this.#begin();
      return transport.handleRequest(request, body);
    }
    if (id !== null) return failure(404, 'there is no such session');
    return request.method === 'POST' ? failure(400, 'initialize first: the request names no session') : failure(405, 'Method not allowed.');
  }

  toolsChanged(): void {
    // To a client that holds no stream open nothing can be said, and that is no error.
    for (const { server } of this.#sessions.values()) server.sendToolListChanged().catch(() => {});
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    const open = [...this.#sessions.values()];
    this.#sessions.clear();
    await Promise.allSettled(open.map(({ server }) => server.close()));
  }

  async #begin(): Promise<Session> {
    const server = this.#makeServer();
    const transport: WebStandardStreamableHTTPServerTransport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => {
        this.#makeRoom();
        this.#sessions.set(id, session);
      },
      onsessionclosed: (id) => {
        this.#sessions.delete(id);
      },
    });
    const session: Session = { server, transport, usedAt: Date.now() };
    await server.connect(transport);
    return session;
  }

  #makeRoom(): void {
    if (this.#sessions.size < mostSessions) return;
    const oldest = Math.min(...[...this.#sessions.values()].map(({ usedAt }) => usedAt));
    this.#sweep(oldest);
  }

  /** Lets go of the sessions last used then or before. */
  #sweep(usedAt: number): void {
    for (const [id, session] of this.#sessions) {
      if (session.usedAt > usedAt) continue;
      this.#sessions.delete(id);
      void session.server.close().catch(() => {});
    }
  }
}

const failure = (status: number, message: string) =>
  Response.json({ jsonrpc: '2.0', id: null, error: { code: status === 404 ? -32_001 : -32_000, message } }, { status });
