import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createModelServer } from '../../../../runtime/llm/server/model-server.ts';

/** A model server in a process of its own, to be killed. Options as JSON, then the port (0: any); prints the port it has. */
const { server } = createModelServer('model-main', JSON.parse(process.argv[2] ?? '{}'));
server.listen(Number(process.argv[3] ?? 0), '127.0.0.1');
await once(server, 'listening');
process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
