import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const fixtures = join(root, 'test/fixtures/mcp');
const tsx = join(root, 'node_modules/.bin/tsx');
const full = process.env.DMAS_OPT_FULL === '1';

/** Scenarios of the suite that concern a caller without OAuth: the rest is about authorization servers. */
const clientScenarios = {
  '2026-07-28': [
    'tools_call',
    'request-metadata',
    'sep-2322-client-request-state',
    'http-standard-headers',
    'http-custom-headers',
    'http-invalid-tool-headers',
    'json-schema-ref-no-deref',
  ],
  '2025-11-25': ['initialize', 'tools_call', 'sse-retry', 'elicitation-sep1034-client-defaults'],
} as const;

let folder: string;
let unit: ChildProcess;
let url = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dmas-conformance-'));
  unit = spawn(tsx, [join(fixtures, 'conformance-unit.ts')], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  url = await new Promise<string>((resolve) => unit.stdout?.once('data', (text) => resolve(String(text).trim())));
}, 60_000);
afterAll(async () => {
  const ended = new Promise((resolve) => unit.once('exit', resolve));
  unit.kill();
  await ended;
  await rm(folder, { recursive: true, force: true });
});

/** The suite's exit status is 0 when exactly what the baseline lists fails. */
async function suite(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [join(fixtures, 'conformance.mjs'), ...args], { cwd: folder });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += String(text)));
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { code, output };
}

const baseline = (revision: string) => ['--expected-failures', join(fixtures, `conformance-${revision}.yaml`)];

describe.each(['2026-07-28', '2025-11-25'] as const)('MCP conformance, %s', (revision) => {
  it('a unit passes what a server of tools is asked', async () => {
    const scenarios = full ? ['--requirements', revision] : ['--scenario', 'tools-list', '--spec-version', revision];
    const { code, output } = await suite('server', '--url', url, ...scenarios, ...(full ? baseline(revision) : []));
    expect(code, output.slice(-6000)).toBe(0);
  }, 120_000);

  it.each(full ? clientScenarios[revision] : clientScenarios[revision].slice(0, 1))(
    'a caller passes %s',
    async (scenario) => {
      const command = `${tsx} ${join(fixtures, 'conformance-client.ts')}`;
      const { code, output } = await suite(
        'client',
        '--command',
        command,
        '--scenario',
        scenario,
        '--spec-version',
        revision,
        ...baseline(revision),
      );
      expect(code, output.slice(-6000)).toBe(0);
    },
    60_000,
  );
});
