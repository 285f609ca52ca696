import { type ClientRequest, request } from 'node:http';
import { type BindAddress, CallError, type LogicalAddress, type Peers } from '../../../compiler/contracts/index.ts';
import type { SendPermit } from '../backend.ts';
import { abortError } from '../openai-errors.ts';
import { beatMs, type FromLimiter, lineReader, type ToLimiter } from './lines.ts';

interface Waiting {
  readonly model: string;
  readonly tokens: number;
  granted(): void;
  refused(error: CallError): void;
}

const reconnectMs = 200;
/** Nobody calls without a permit; who cannot get one for so long is told. A limiter that died is back within seconds. */
const giveUpMs = 10_000;

/** A unit's line to the limiter of its deployment: one connection for all its calls, opened by the first. */
export class LimiterClient {
  readonly #address: LogicalAddress;
  readonly #waiting = new Map<number, Waiting>();
  readonly #held = new Map<number, { readonly model: string; readonly tokens: number }>();
  #at: BindAddress | undefined;
  #line: ClientRequest | undefined;
  #lostAtMs: number | undefined;
  #again: NodeJS.Timeout | undefined;
  #next = 0;
  #closed = false;

  constructor(address: LogicalAddress) {
    this.#address = address;
  }

  /** Where the limiter is. One that moved is a new one: it gets the open questions again and learns what is held. */
  update(peers: Peers): void {
    const at = peers[this.#address]?.[0]?.at;
    if (at === undefined || JSON.stringify(at) === JSON.stringify(this.#at)) return;
    this.#at = at;
    this.#line?.destroy();
  }

  missing(): readonly LogicalAddress[] {
    return this.#at === undefined ? [this.#address] : [];
  }

  /** Resolves when a call of about so many tokens may be sent. @throws CallError */
  enter(model: string, tokens: number, signal: AbortSignal): Promise<SendPermit> {
    if (signal.aborted) return Promise.reject(abortError(signal.reason));
    const id = this.#next++;
    return new Promise<SendPermit>((resolve, reject) => {
      const settle = () => {
        signal.removeEventListener('abort', aborted);
        this.#waiting.delete(id);
      };
      const aborted = () => {
        settle();
        this.#say({ leave: id });
        reject(abortError(signal.reason));
      };
      signal.addEventListener('abort', aborted, { once: true });
      this.#waiting.set(id, {
        model,
        tokens,
        granted: () => {
          settle();
          this.#held.set(id, { model, tokens });
          resolve(this.#permit(id));
        },
        refused: (error) => {
          settle();
          reject(error);
        },
      });
      if (this.#line === undefined) this.#connect();
      else this.#say({ ask: id, model, tokens });
    });
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#again);
    this.#line?.destroy();
    this.#refuseAll('the unit is closing');
  }

  #permit(id: number): SendPermit {
    return {
      sent: () => this.#say({ sent: id }),
      leave: (tokens) => {
        if (this.#held.delete(id)) this.#say({ leave: id, ...(tokens === undefined ? {} : { tokens }) });
      },
    };
  }

  #say(line: ToLimiter): void {
    this.#line?.write(`${JSON.stringify(line)}\n`);
  }

  #connect(): void {
    if (this.#line !== undefined || this.#again !== undefined || this.#closed) return;
    if (this.#at === undefined) {
      this.#lost(new Error('its address is not known yet'));
      return;
    }
    const where = 'path' in this.#at ? { socketPath: this.#at.path } : { host: this.#at.host, port: this.#at.port };
    const line = request({ ...where, method: 'POST', path: '/session', agent: false });
    this.#line = line;
    const beat = setInterval(() => this.#say({ beat: true }), beatMs).unref();
    let over = false;
    const lost = (error: Error) => {
      if (over) return;
      over = true;
      clearInterval(beat);
      this.#line = undefined;
      this.#lost(error);
    };
    line.once('error', lost).once('close', () => lost(new Error('the connection broke')));
    line.once('response', (response) => {
      this.#lostAtMs = undefined;
      const read = lineReader((text) => this.#hear(JSON.parse(text) as FromLimiter));
      response.setEncoding('utf8').on('data', read);
      response.once('error', lost).once('close', () => lost(new Error('the connection broke')));
    });
    line.flushHeaders();
    for (const [id, held] of this.#held) this.#say({ hold: id, ...held });
    for (const [id, { model, tokens }] of this.#waiting) this.#say({ ask: id, model, tokens });
  }

  #hear(line: FromLimiter): void {
    if ('refused' in line) {
      this.#waiting.get(line.refused)?.refused(new CallError({ code: 'failed', message: line.why, neverStarted: true }));
    } else this.#waiting.get(line.granted)?.granted();
  }

  /** Asks again a little later while anybody waits. */
  #lost(error: Error): void {
    if (this.#closed) return;
    const nowMs = performance.now();
    this.#lostAtMs ??= nowMs;
    if (nowMs - this.#lostAtMs > giveUpMs) this.#refuseAll(error.message);
    if (this.#waiting.size === 0) {
      this.#lostAtMs = undefined;
      return;
    }
    this.#again = setTimeout(() => {
      this.#again = undefined;
      this.#connect();
    }, reconnectMs);
  }

  #refuseAll(why: string): void {
    const message = `the limiter of this deployment cannot be reached: ${why}`;
    for (const waiting of [...this.#waiting.values()]) waiting.refused(new CallError({ code: 'unavailable', message, neverStarted: true }));
  }
}
