import { Agent, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type BindAddress, CallError, type Peers } from '../../compiler/contracts/index.ts';

/** Reads a body by events. Rejects with a RangeError beyond the limit. */
export function readText(incoming: IncomingMessage, limitBytes: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let sizeBytes = 0;
    incoming.on('data', (piece: Buffer) => {
      sizeBytes += piece.length;
      if (sizeBytes <= limitBytes) pieces.push(piece);
      else reject(new RangeError(`the body is larger than ${limitBytes} bytes`));
    });
    incoming.once('end', () => resolve(Buffer.concat(pieces).toString('utf8')));
    incoming.once('error', reject);
  });
}

export function sendJson(response: ServerResponse, status: number, body: unknown, headers: { readonly [name: string]: string } = {}): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers }).end(text);
}

/** Where the first replica of an address is. */
export const firstOf = (peers: Peers, address: string): BindAddress | undefined => peers[address]?.[0]?.at;

export const keepAlive = () => new Agent({ keepAlive: true });

/** Posts JSON and reads JSON. @throws CallError `unavailable` */
export function postJson(agent: Agent, at: BindAddress, path: string, body: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const text = JSON.stringify(body);
    const broken = (error: Error) =>
      reject(new CallError({ code: 'unavailable', message: `the tape cannot be reached: ${error.message}` }));
    const where = 'path' in at ? { socketPath: at.path } : { host: at.host, port: at.port };
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    const outgoing = request({ ...where, agent, method: 'POST', path, headers }, (incoming) => {
      let answer = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (piece: string) => {
        answer += piece;
      });
      incoming.once('error', broken);
      incoming.once('end', () => {
        if (incoming.statusCode === 200) resolve(JSON.parse(answer));
        else broken(new Error(`status ${incoming.statusCode} ${answer.slice(0, 200)}`));
      });
    });
    outgoing.once('error', broken);
    outgoing.end(text);
  });
}
