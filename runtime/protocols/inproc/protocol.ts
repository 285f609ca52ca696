import type { BindAddress } from '../../../compiler/contracts/index.ts';
import type { CallHandler, Connection, IncomingCall, OutgoingCall, Protocol } from '../protocol.ts';
import { ChunkQueue } from '../wire/chunk-queue.ts';
import { cancelledError, drainingError, unavailableError } from '../wire/errors.ts';
import { InFlight, type ServedCall, serveCall } from '../wire/incoming.ts';
import { OpenCalls, watchCall } from '../wire/outgoing.ts';

interface Entry {
  readonly handler: CallHandler;
  readonly inFlight: InFlight;
  readonly calls: Set<ServedCall>;
}

/** Listeners of this process by address. Looked up per call, so that connecting before listening works. */
const listeners = new Map<string, Entry>();
let nextPort = 1;

const keyOf = (at: BindAddress) => ('path' in at ? at.path : `${at.host}:${at.port}`);
const nothingOnTheWire = { requestBytes: 0, deserializeMs: 0 };

export const inprocProtocol: Protocol = {
  bind: () => 'none',

  async listen(at, handler) {
    // Port 0 asks for any free address, as it does on the network.
    const chosen = 'port' in at && at.port === 0 ? { host: at.host, port: nextPort++ } : at;
    const key = keyOf(chosen);
    if (listeners.has(key)) throw new Error(`an in-process listener at ${key} exists already`);
    const entry: Entry = { handler, inFlight: new InFlight(), calls: new Set() };
    listeners.set(key, entry);
    return {
      at: chosen,
      async close(drainMs) {
        if (!(await entry.inFlight.drain(drainMs))) {
          for (const call of entry.calls) call.cancel(unavailableError('the listener', 'it was closed', false));
        }
        if (listeners.get(key) === entry) listeners.delete(key);
      },
    };
  },

  connect(to): Connection {
    const key = keyOf(to.at);
    const open = new OpenCalls();
    return {
      call: (call) => run(key, open, call, () => {}),
      stream: (call) => stream(key, open, call),
      close: async () => open.close(),
    };
  },
};

function run(
  key: string,
  open: OpenCalls,
  call: OutgoingCall,
  emit: (chunk: unknown) => void,
  onServed?: (served: ServedCall) => void,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let served: ServedCall | undefined;
    const release = watchCall(
      call,
      (error) => {
        served?.cancel(error);
        reject(error);
      },
      open,
    );
    const entry = listeners.get(key);
    if (entry === undefined || entry.inFlight.draining) {
      release();
      reject(entry === undefined ? unavailableError(call.target, 'nothing listens there', true) : drainingError(call.target));
      return;
    }
    const { target, pattern, body, meta } = call;
    const incoming: Omit<IncomingCall, 'signal'> = { target, pattern, body, meta, wire: nothingOnTheWire };
    entry.inFlight.begin();
    served = serveCall(entry.handler, incoming, emit);
    const running = served;
    entry.calls.add(running);
    const end = () => {
      release();
      entry.calls.delete(running);
      entry.inFlight.end();
    };
    onServed?.(running);
    running.result.then(
      (output) => {
        end();
        // As on a wire: sending learns only that the message was accepted.
        resolve(pattern === 'send' || pattern === 'publish' ? undefined : output);
      },
      (error) => {
        end();
        reject(error);
      },
    );
  });
}

async function* stream(key: string, open: OpenCalls, call: OutgoingCall): AsyncGenerator<unknown, unknown> {
  const queue = new ChunkQueue();
  let served: ServedCall | undefined;
  run(
    key,
    open,
    call,
    (chunk) => queue.push(chunk),
    (running) => {
      served = running;
    },
  ).then(
    (output) => queue.end(output),
    (error) => queue.fail(error),
  );
  try {
    return yield* queue.drain();
  } finally {
    served?.cancel(cancelledError(call.target));
  }
}
