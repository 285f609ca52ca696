/**
 * A process of its own before a stdio MCP server: `bridge-main [--host H] [--port-variable NAME] [--revision R] -- command …`
 * listens on the port in the environment variable (PORT by default) once the server has answered its handshake. It ends
 * when the server does, so that whoever started it may start both again.
 */
import { parseArgs } from 'node:util';
import { httpUrl } from '../../../compiler/contracts/index.ts';
import { type BridgeOptions, startBridge } from './stdio-bridge.ts';

/** For calls under way when the process is told to end. */
const drainMs = 5_000;

const { values, positionals } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    'port-variable': { type: 'string', default: 'PORT' },
    revision: { type: 'string', default: '2025-11-25' },
  },
  allowPositionals: true,
});
const port = Number(process.env[values['port-variable']] ?? 0);
const listener = await startBridge({
  at: { host: values.host, port },
  command: positionals,
  revision: values.revision as BridgeOptions['revision'],
  onLost: () => {
    process.stderr.write('the stdio server ended\n');
    process.exit(1);
  },
});
let ending = false;
const end = () => {
  if (ending) return;
  ending = true;
  listener.close(drainMs).finally(() => process.exit(0));
};
process.on('SIGTERM', end);
process.on('SIGINT', end);
process.stdout.write(`MCP at ${httpUrl(listener.at)}/mcp\n`);
