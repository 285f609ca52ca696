import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http';

/** Longer than any client keeps an idle connection, so that the client closes it and never writes into a closing one. */
const keepAliveMs = 120_000;

export interface DrainingServer {
  readonly server: Server;
  /** Takes no new connections, waits up to `drainMs` for what is in flight, then closes every connection. */
  drain(drainMs: number): Promise<void>;
}

/** An HTTP server of a service that ends without breaking off what it is answering; not yet listening. */
export function createDrainingServer(answer: RequestListener, options: ServerOptions = {}): DrainingServer {
  let closing = false;
  const server = createServer({ keepAliveTimeout: keepAliveMs, ...options }, (request, response) => {
    // A connection kept alive after its last answer would hold up the drain.
    response.once('close', () => {
      if (closing) setImmediate(() => server.closeIdleConnections());
    });
    answer(request, response);
  });
  return {
    server,
    drain: async (drainMs) => {
      closing = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const limit = setTimeout(() => server.closeAllConnections(), drainMs);
      await closed;
      clearTimeout(limit);
    },
  };
}
