// Run by service.test.ts: `<limiter host:port> <endpoint url> <calls> <at once>`; calls a limited model as a unit does.
import type { PlannedModel } from '../../../../compiler/contracts/index.ts';
import { LimiterClient } from '../../../../runtime/llm/limiter/client.ts';
import { openaiCompatible } from '../../../../runtime/llm/openai-compatible.ts';
import { promptParts } from '../../../../runtime/llm/prompt-parts.ts';

async function main(): Promise<void> {
  const [at = '', url = '', calls = '0', atOnce = '1'] = process.argv.slice(2);
  const [host = '', port = ''] = at.split(':');
  const limiter = new LimiterClient('service://limiter');
  limiter.update({ 'service://limiter': [{ replica: 0, instanceId: 'limiter.0', at: { host, port: Number(port) } }] });
  const planned: PlannedModel = { backend: 'openai-compatible', address: url, model: 'main', options: { retries: 0 } };
  const model = (await openaiCompatible.load()).connect(planned, url, undefined);
  const request = { messages: [{ role: 'user' as const, content: 'x'.repeat(115) }], tools: [], maxTokens: 20 };
  const tokens = Math.ceil((promptParts(request)[0] ?? '').length / 4) + request.maxTokens;
  let left = Number(calls);
  const loop = async () => {
    while (left-- > 0) {
      const { signal } = new AbortController();
      await model.chat(request, signal, undefined, { enter: (end) => limiter.enter('main', tokens, end) });
      process.stdout.write('.');
    }
  };
  process.stdout.write('ready\n');
  await Promise.all(Array.from({ length: Number(atOnce) }, loop));
  limiter.close();
}

await main();
process.exit(0);
