import { createLlamaCppServer } from '../../../runtime/llm/llama-cpp/http-server.ts';

/** A llama.cpp server as a process of its own: options as JSON in the first argument, its port on the first line; ends with its parent. */
const { server, close } = await createLlamaCppServer('model-main', JSON.parse(process.argv[2] ?? '{}'));
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const at = server.address();
process.stdout.write(`${at !== null && typeof at === 'object' ? at.port : 0}\n`);
process.stdin.resume();
process.stdin.once('end', () => void close(0).then(() => process.exit(0)));
