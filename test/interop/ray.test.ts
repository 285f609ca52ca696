import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { rayEmitter } from '../../compiler/emit/ray/emit.ts';
import { contentOf, exported, openExample } from '../compiler/emit/exported.ts';

/** A Python of its own with what `requirements-ray.txt` names; with `pyarrow` the models of Serve LLM are asked as well. */
const python = process.env.DMAS_OPT_RAY_PYTHON;
const full = process.env.DMAS_OPT_FULL === '1';
const needs = 'needs DMAS_OPT_FULL=1 and DMAS_OPT_RAY_PYTHON: the path of a Python with ray[serve] 2.60 and pyarrow';
const script = fileURLToPath(new URL('../fixtures/ray/validate.py', import.meta.url));

const validate = (config: unknown) =>
  new Promise<{ readonly code: number | null; readonly out: string }>((resolve, reject) => {
    const child = spawn(python ?? '', [script], { stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (piece) => {
        out += piece;
      });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out }));
    child.stdin.end(JSON.stringify(config));
  });

const capacity = { requestsPerSecond: 12, concurrency: 41.2, cpuSecondsPerRequest: 0.01, provenance: 'simulated' };

describe.skipIf(python === undefined || !full)(`Ray's own models (${needs})`, () => {
  it.each([
    ['that Ray scales', { 'model-main': capacity }],
    ['that others scale', {}],
  ])(
    'take an exported Serve config %s',
    async (_what, capacityPerReplica) => {
      const files = await exported(await openExample('coding-agent'), rayEmitter, { facts: { capacityPerReplica } });
      const { code, out } = await validate(parse(contentOf(files, 'serve-config.yaml')));
      expect(out).toContain('ServeDeploySchema');
      expect(code, out).toBe(0);
    },
    60_000,
  );

  it('refuse what is wrong, so that their consent says something', async () => {
    const files = await exported(await openExample('coding-agent'), rayEmitter);
    const config = parse(contentOf(files, 'serve-config.yaml'));
    config.applications[0].args.llm_configs[0].deployment_config.num_replicas = 'many';
    const { code, out } = await validate(config);
    expect(code).not.toBe(0);
    expect(out).toMatch(/validation error[\s\S]*num_replicas/);
  }, 60_000);
});
