/**
 * Runs inside the container of `openTunnel`, with nothing but Node.js: every POST becomes a JSON line on standard output,
 * every line on standard input the answer to one. It ends with its standard input.
 */
export const tunnelProgram = `
const [port, names] = process.argv.slice(1);
const kept = JSON.parse(names);
const waiting = new Map();
let count = 0;
let rest = '';
const server = require('node:http').createServer((incoming, outgoing) => {
  const parts = [];
  incoming.on('data', (part) => parts.push(part));
  incoming.on('end', () => {
    count += 1;
    waiting.set(count, outgoing);
    const headers = Object.fromEntries(kept.filter((name) => incoming.headers[name]).map((name) => [name, incoming.headers[name]]));
    process.stdout.write(JSON.stringify({ id: count, path: incoming.url, headers, body: Buffer.concat(parts).toString('base64') }) + '\\n');
  });
});
process.stdin.setEncoding('latin1');
process.stdin.on('data', (chunk) => {
  const lines = (rest + chunk).split('\\n');
  rest = lines.pop();
  for (const line of lines) {
    const { id, status, body } = JSON.parse(line);
    waiting.get(id)?.writeHead(status).end(Buffer.from(body, 'base64'));
    waiting.delete(id);
  }
});
process.stdin.on('end', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
server.listen(Number(port), '0.0.0.0', () => process.stdout.write('listening\\n'));
`;
