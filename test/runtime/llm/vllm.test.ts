import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planOf } from '../../../cli/laboratory.ts';
import { allInOne, type Configuration, DmasError } from '../../../compiler/contracts/index.ts';
import { processesWithEnvironment } from '../../../runtime/targets/process/procfs.ts';
import { standInProgram, writeNvidiaSmi } from '../../fixtures/vllm/make.ts';
import { type Bench, openBench } from '../../placements/deploy.ts';

const file = fileURLToPath(new URL('../../fixtures/vllm/scenario.yaml', import.meta.url));

interface Seen {
  readonly argv: readonly string[];
  readonly environment: { readonly [name: string]: string };
}

describe('vLLM on the process target (a stand-in of its command line and of nvidia-smi, in PATH)', () => {
  const path = process.env.PATH ?? '';
  let folder: string;
  let bench: Bench;
  const secrets = { VLLM_API_KEY: 'key-of-the-server', HF_TOKEN: 'token-of-the-hub', SOMETHING_ELSE: 'private' };
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'dmas-vllm-'));
    writeFileSync(join(folder, 'vllm'), await standInProgram('/usr/bin/env node'), { mode: 0o755 });
    writeNvidiaSmi(folder, 2);
    Object.assign(process.env, { PATH: `${folder}${delimiter}${path}`, ...secrets });
    bench = await openBench(file);
  });
  afterAll(async () => {
    await bench.close();
    process.env.PATH = path;
    for (const name of Object.keys(secrets)) delete process.env[name];
    rmSync(folder, { recursive: true, force: true });
  });
  const layout = (): Configuration => allInOne(bench.project.workflow, bench.project.defaults);
  const withGpus = (options: Configuration['serving'][string]['options']): Configuration => ({
    ...layout(),
    serving: { main: { replicas: 1, options } },
  });
  const seen = () =>
    readdirSync(folder)
      .filter((name) => name.startsWith('seen-'))
      .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Seen);

  it('is started with the flags of the scenario, answers, tells its load, and leaves nothing behind', async () => {
    await bench.with(layout(), async ({ deployment, ask }) => {
      const { status, output } = await ask({ id: 'one', input: { city: 'Oslo', query: 'boats' } });
      expect(status, output).toBe(200);
      const [server] = deployment.modelServers();
      expect(server).toMatchObject({ service: 'model-main', replica: 0, gpus: ['0'] });
      const metrics = await (await fetch(`${server?.url}/metrics`)).text();
      expect(metrics).toMatch(/vllm:generation_tokens_total\{[^}]*\} [1-9]/);
      expect(metrics).toContain('model_name="Qwen/Qwen3-8B"');
    });
    const [started] = seen();
    expect(started?.argv.join(' ')).toMatch(
      /^serve Qwen\/Qwen3-8B --served-model-name Qwen\/Qwen3-8B --host 127\.0\.0\.1 --port \d+ --enable-prompt-tokens-details --max-num-seqs 32 --no-enable-prefix-caching --enable-auto-tool-choice --tool-call-parser hermes$/,
    );
    expect(started?.environment).toMatchObject({
      VLLM_API_KEY: 'key-of-the-server',
      HF_TOKEN: 'token-of-the-hub',
      CUDA_VISIBLE_DEVICES: '0',
      CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
      VLLM_NO_USAGE_STATS: '1',
    });
    expect(started?.environment).not.toHaveProperty('SOMETHING_ELSE');
    expect(processesWithEnvironment('PATH', process.env.PATH ?? '').filter((pid) => pid !== process.pid)).toEqual([]);
  }, 60_000);

  it('keeps the token of the model hub from the units, and gives them the key of the server', () => {
    const plan = planOf(bench.project, layout());
    expect(plan.units.flatMap((unit) => unit.secrets)).toEqual(['VLLM_API_KEY']);
    expect(plan.services.find(({ kind }) => kind === 'model')?.secrets).toEqual(['HF_TOKEN', 'VLLM_API_KEY']);
  });

  it('fails a layout that needs more GPUs than the machine has, and gives back those it held', async () => {
    const failure = await bench.with(withGpus({ tensorParallelSize: 4 }), async () => undefined).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DmasError);
    expect((failure as DmasError).message).toContain('model-main needs 4 GPUs; this machine has 2, of which 2 are free');
    await bench.with(withGpus({ tensorParallelSize: 2 }), async ({ deployment }) => {
      expect(deployment.modelServers()[0]?.gpus).toEqual(['0', '1']);
    });
  }, 60_000);

  it('says what the server said when it refuses its flags', async () => {
    const failure = await bench.with(withGpus({ dtype: '--oops' }), async () => undefined).catch((error: unknown) => error);
    expect((failure as DmasError).message).toMatch(/model-main replica 0 did not start: ended/);
    expect((failure as DmasError).message).toContain('argument --dtype: expected one argument');
  }, 60_000);

  it('is missed before anything starts where it is not installed', async () => {
    process.env.PATH = path;
    try {
      const failure = await openBench(file).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(DmasError);
      expect((failure as DmasError).problems[0]).toMatchObject({ code: 'DMAS_ENV_COMMAND', at: { line: 6 } });
      expect((failure as DmasError).message).toContain('models.main: vllm is not in PATH');
    } finally {
      process.env.PATH = `${folder}${delimiter}${path}`;
    }
  });
});
