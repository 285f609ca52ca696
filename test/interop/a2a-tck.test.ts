import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** A checkout of github.com/a2aproject/a2a-tck, branch 1.0-dev, and a Python that has its dependencies. */
const kit = process.env.A2A_TCK;
const python = process.env.A2A_TCK_PYTHON ?? process.env.DMAS_OPT_PYTHON;
const needs = 'needs A2A_TCK: a checkout of a2a-tck (1.0-dev), and A2A_TCK_PYTHON: a Python with its dependencies';

/** What the kit (357c4a8) asks for and does not get, with the reason. */
const known: { readonly [test: string]: string } = {
  'TestMessageResponse::test_returns_message_with_text_part':
    'a stranger’s call is always a task here; answering with a message is the agent’s choice (3.1.1)',
  'TestGrpcStatusCodes::test_push_not_supported_returns_unimplemented': 'the kit has the statuses from before 1.0.1 (5.4)',
  'TestGrpcStatusCodes::test_version_not_supported_returns_unimplemented': 'the kit has the statuses from before 1.0.1 (5.4)',
  'TestHttpJsonStatusCodes::test_content_type_not_supported_returns_415': 'the kit has the statuses from before 1.0.1 (5.4)',
};

const sut = fileURLToPath(new URL('../fixtures/a2a/tck-sut.ts', import.meta.url));

describe.skipIf(kit === undefined || python === undefined)(`the A2A compatibility kit (${needs})`, () => {
  let folder: string;
  let url: string;
  let stop: () => void = () => {};
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dmas-tck-'));
    const child = spawn(process.execPath, ['--import', 'tsx', sut], { stdio: ['ignore', 'pipe', 'inherit'] });
    stop = () => child.kill('SIGKILL');
    url = await new Promise<string>((resolve) => createInterface({ input: child.stdout }).once('line', resolve));
  });
  afterAll(async () => {
    stop();
    await rm(folder, { recursive: true });
  });

  it.each(['jsonrpc', 'http_json', 'grpc'])(
    'finds nothing but what is known over %s',
    async (transport) => {
      const report = join(folder, `${transport}.xml`);
      const args = ['-m', 'pytest', 'tests/compatibility', '-q', `--sut-host=${url}`, `--transport=${transport}`, `--junitxml=${report}`];
      await new Promise((resolve) =>
        execFile(python ?? '', [...args, '-p', 'no:cacheprovider'], { cwd: kit, maxBuffer: 2 ** 26 }, resolve),
      );
      const cases = casesIn(await readFile(report, 'utf8'));
      expect(cases.filter(({ outcome }) => outcome === 'passed').length).toBeGreaterThan(60);
      expect(cases.filter(({ outcome, name }) => outcome === 'failed' && known[name] === undefined)).toEqual([]);
    },
    240_000,
  );
});

/** The test cases of a JUnit file, without their parameters. */
function casesIn(xml: string): { readonly name: string; readonly outcome: 'passed' | 'failed' | 'skipped' }[] {
  return [...xml.matchAll(/<testcase classname="([^"]*)" name="([^"]*)"[^>]*?(\/>|>[\s\S]*?<\/testcase>)/g)].map(
    ([, group = '', test = '', rest = '']) => ({
      name: `${group.split('.').at(-1)}::${test.replace(/\[.*\]$/, '')}`,
      outcome: /<(failure|error)\b/.test(rest) ? 'failed' : /<skipped\b/.test(rest) ? 'skipped' : 'passed',
    }),
  );
}
