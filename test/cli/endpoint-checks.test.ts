import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Check, checkEndpoints } from '../../cli/endpoint-checks.ts';
import { exitCodes } from '../../compiler/contracts/index.ts';
import { createModelServer } from '../../runtime/llm/server/model-server.ts';
import { scenarioSchema } from '../../scenarios/schema.ts';
import { cli } from '../faults/lib/command.ts';
import { createSandbox } from '../faults/lib/sandbox.ts';
import { type Behaviour, brokenEndpoint, urlOf } from '../runtime/llm/endpoints.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

async function engine(): Promise<string> {
  const server = createModelServer('model-main', { models: ['small'] });
  cleanUps.push(() => server.close(0));
  return `${await urlOf(server.server)}/v1`;
}
async function broken(behaviour: Behaviour | ((turn: number) => Behaviour)) {
  const endpoint = await brokenEndpoint(behaviour);
  cleanUps.push(endpoint.close);
  return endpoint;
}

async function check(model: object, environment: NodeJS.ProcessEnv = {}) {
  const { models } = scenarioSchema.parse({ workflow: './w.ts', models: { main: { backend: 'openai-compatible', ...model } } });
  const { checks, sent } = await checkEndpoints(models, ['main'], environment);
  const of = (topic: string): Check | undefined => checks.find(({ what }) => what === `model main: ${topic}`);
  return { checks, sent, of, states: Object.fromEntries(checks.map(({ what, state }) => [what.replace('model main: ', ''), state])) };
}

describe('what doctor asks a model endpoint', () => {
  it('finds a good one good in everything, for a few tokens, and says what it sent', async () => {
    const url = await engine();
    const { states, sent, checks } = await check({ url, model: 'small', secret: 'MODEL_KEY' }, { MODEL_KEY: 'sk-secret' });
    expect(states).toEqual({
      reachable: 'ok',
      key: 'ok',
      present: 'ok',
      answers: 'ok',
      usage: 'ok',
      'cached tokens': 'ok',
      streaming: 'ok',
      tools: 'ok',
      metrics: 'ok',
    });
    const [, tokens] = /\((\d+) tokens/.exec(sent ?? '') ?? [];
    expect(sent).toContain(url);
    expect(sent).toContain('3 times "Say ok."');
    expect(Number(tokens)).toBeGreaterThan(0);
    expect(Number(tokens)).toBeLessThan(150);
    expect(JSON.stringify([checks, sent])).not.toContain('sk-secret');
  });

  it('names what is lacking, which stops nothing', async () => {
    const { url } = await broken('noUsage');
    const { states, of } = await check({ url: `${url}/v1` });
    expect(Object.values(states)).not.toContain('not ready');
    expect(states).toMatchObject({ usage: 'lacking', 'cached tokens': 'lacking', streaming: 'lacking', metrics: 'lacking', tools: 'ok' });
    expect(of('streaming')?.says).toContain('no usage');
  });

  it('tells a wrong key, a missing one, a wrong name, an error and an empty port apart, each with what to do', async () => {
    const leaking = await broken('leaking');
    const refused = await check({ url: `${leaking.url}/v1`, secret: 'MODEL_KEY' }, { MODEL_KEY: 'sk-secret' });
    expect(refused.of('key')).toMatchObject({ state: 'not ready', says: expect.stringContaining('look at the value of MODEL_KEY') });
    expect(JSON.stringify(refused.checks)).not.toContain('sk-secret');

    const silent = await broken('silent');
    const unset = await check({ url: `${silent.url}/v1`, secret: 'MODEL_KEY' });
    expect(unset.of('key')).toMatchObject({ state: 'not ready', says: expect.stringContaining('MODEL_KEY is not set') });
    expect([unset.sent, silent.requests()]).toEqual([undefined, 0]);

    const renamed = await check({ url: await engine(), model: 'large' });
    expect(renamed.of('present')).toMatchObject({ state: 'not ready', says: expect.stringMatching(/it has small.*models\.main\.model/) });

    const crashing = await check({ url: `${(await broken('crashing')).url}/v1` });
    expect(crashing.of('answers')).toMatchObject({ state: 'not ready', says: expect.stringContaining('500: out of memory') });

    const nobody = await check({ url: 'http://127.0.0.1:1/v1' });
    expect(nobody.of('reachable')).toMatchObject({ state: 'not ready', says: expect.stringContaining('is it running') });
  });

  it('asks those of others alone, when it is given a scenario and not told to stay offline', async () => {
    const sandbox = createSandbox();
    cleanUps.push(() => sandbox.remove());
    const folder = join(sandbox.folder, 'app');
    mkdirSync(folder);
    const file = join(folder, 'scenario.yaml');
    const write = (url: string) =>
      writeFileSync(
        file,
        `workflow: ${join(import.meta.dirname, '../fixtures/faults/secret.ts')}\nmodels: { main: { backend: openai-compatible, url: ${url}, model: small } }\nworkload: { inputs: [{ topic: rain }] }\n`,
      );
    const url = await engine();
    write(url);
    const good = await cli(sandbox, ['doctor', file]);
    expect(good.code, good.stderr).toBe(0);
    expect(good.stdout).toMatch(/^ok +model main: streaming/m);
    expect(good.stdout).toMatch(new RegExp(`^ok +data sent anywhere +to ${url}`, 'm'));
    write('http://127.0.0.1:1/v1');
    const bad = await cli(sandbox, ['doctor', file, '--json']);
    expect(bad.code).toBe(exitCodes.environmentNotReady);
    expect(JSON.parse(bad.stdout)).toContainEqual(expect.objectContaining({ what: 'model main: reachable', state: 'not ready' }));
    const offline = await cli(sandbox, ['doctor', file, '--offline']);
    expect(offline.code, offline.stdout).toBe(0);
    expect(offline.stdout).toMatch(/data sent anywhere +nothing/);
  }, 60_000);
});
