import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Pool } from 'undici';
import { createModelServer } from '../../runtime/llm/server/model-server.ts';

/**
 * What a request costs the simulated model server in processor time, since it shares its host with what is measured: a load
 * of conversations with a long common beginning, at a fixed rate, with and without streaming. `npx tsx test/bench/model-server.ts`
 * takes the server's options as JSON; the last line is one JSON object.
 */
const options = JSON.parse(process.argv[2] ?? '{}') as { [option: string]: never };
const requests = 1500;
const perSecond = 150;

if (process.argv[3] === 'serve') await serve();
else await drive();

async function serve(): Promise<void> {
  const model = createModelServer('model-main', options);
  model.server.listen(0, '127.0.0.1');
  const cpu = createServer((_, response) => response.end(JSON.stringify(process.cpuUsage()))).listen(0, '127.0.0.1');
  await Promise.all([once(model.server, 'listening'), once(cpu, 'listening')]);
  process.stdout.write(`${(model.server.address() as AddressInfo).port} ${(cpu.address() as AddressInfo).port}\n`);
}

async function drive(): Promise<void> {
  const child: ChildProcess = spawn(process.execPath, ['--import', 'tsx', import.meta.filename, JSON.stringify(options), 'serve'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  const [port, cpuPort] = line.toString().trim().split(' ');
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: 128 });
  const cpuMs = async () => {
    const { user, system } = (await (await fetch(`http://127.0.0.1:${cpuPort}`)).json()) as NodeJS.CpuUsage;
    return (user + system) / 1000;
  };
  const system = 'You are the planner of a trip. '.repeat(200);
  const ask = async (index: number, stream: boolean) => {
    const messages = [
      { role: 'system', content: system },
      { role: 'user', content: `Question ${index % 97} of traveller ${index}: ${'where to go next, '.repeat(20)}` },
    ];
    const { body, statusCode } = await pool.request({
      path: '/v1/chat/completions',
      method: 'POST',
      body: JSON.stringify({ model: 'main', messages, stream }),
    });
    await body.dump({ limit: 1e9 });
    if (statusCode !== 200) throw new Error(`status ${statusCode}`);
  };
  const load = async (count: number, stream: boolean) => {
    const startMs = performance.now();
    const under: Promise<void>[] = [];
    for (let index = 0; index < count; index++) {
      const waitMs = startMs + (index * 1000) / perSecond - performance.now();
      if (waitMs > 1) await new Promise((resolve) => setTimeout(resolve, waitMs));
      under.push(ask(index, stream));
    }
    await Promise.all(under);
  };
  const result: Record<string, number> = {};
  for (const stream of [false, true]) {
    await load(300, stream);
    const before = await cpuMs();
    await load(requests, stream);
    result[stream ? 'cpu_ms_per_streamed_request' : 'cpu_ms_per_request'] = Number(((await cpuMs()) - before).toFixed(1)) / requests;
  }
  await pool.destroy();
  child.kill();
  process.stdout.write(`${JSON.stringify({ requests, perSecond, ...result })}\n`);
}
