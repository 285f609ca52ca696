import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const execute = promisify(execFile);
const examples = (await readdir(join(root, 'scenarios'), { withFileTypes: true })).flatMap((each) =>
  each.isDirectory() ? [each.name] : [],
);

/** Packages an example says it needs beside this one: the framework its agents are written for. */
async function packagesOf(name: string): Promise<{ readonly [name: string]: string }> {
  const text = await readFile(join(root, 'scenarios', name, 'package.json'), 'utf8').catch(() => '{}');
  return (JSON.parse(text) as { dependencies?: { readonly [name: string]: string } }).dependencies ?? {};
}

/** Installing takes a registry and half a minute, so the whole of it belongs to the full run. */
const full = process.env.DMAS_OPT_FULL === '1';
const mostMb = 120;

interface Failed {
  readonly code?: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

describe('the examples', () => {
  it.each(examples)('%s imports the package, the framework it needs, Node and its own files only', async (name) => {
    const folder = join(root, 'scenarios', name);
    const files = (await readdir(folder)).filter((file) => file.endsWith('.ts'));
    const [, workflow = ''] = /^workflow: \.\/([\w.-]+)/m.exec(await readFile(join(folder, 'scenario.yaml'), 'utf8')) ?? [];
    expect(await readdir(folder)).toContain(workflow);
    const needed = Object.keys(await packagesOf(name));
    for (const file of files) {
      const text = await readFile(join(folder, file), 'utf8');
      const imported = [...text.matchAll(/(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)].map(([, specifier]) => specifier ?? '');
      const foreign = imported.filter((specifier) => !/^(dmas-opt$|node:|\.\/)/.test(specifier));
      expect(foreign.filter((specifier) => !needed.some((name) => specifier === name || specifier.startsWith(`${name}/`)))).toEqual([]);
    }
  });
});

describe.skipIf(!full)('the packed package (DMAS_OPT_FULL=1: builds, packs and installs it)', () => {
  let folder: string;
  let project: string;
  /** Why it could not be installed here; the tests are skipped with it. */
  let unreachable: string | undefined;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dmas-package-'));
    project = join(folder, 'project');
    await mkdir(project);
    await writeFile(join(project, 'package.json'), '{ "name": "someone-elses-project", "private": true }\n');
    const tarball = await pack(join(folder, 'stage'));
    const startedMs = performance.now();
    try {
      await execute('npm', ['install', '--prefer-offline', '--omit=dev', '--no-audit', '--no-fund', tarball], {
        cwd: project,
        maxBuffer: 1 << 24,
      });
    } catch (error) {
      const { stderr } = error as Failed;
      if (!/ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET|ENETUNREACH/.test(stderr)) throw error;
      unreachable = `the npm registry cannot be reached: ${stderr.split('\n')[0]}`;
      return;
    }
    const seconds = (performance.now() - startedMs) / 1000;
    console.log(`production install: ${(await megabytes(join(project, 'node_modules'))).toFixed(1)} MB in ${seconds.toFixed(1)} s`);
  }, 300_000);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const dmasOpt = (...words: string[]) => execute('npx', ['--no-install', 'dmas-opt', ...words], { cwd: project, maxBuffer: 1 << 24 });

  it('holds what a user needs, and neither sources nor tests', async (context) => {
    if (unreachable) return context.skip(unreachable);
    const held = await readdir(join(project, 'node_modules/dmas-opt'));
    expect(held.sort()).toEqual(['LICENSE', 'README.md', 'dist', 'docs', 'package.json', 'scenarios']);
    expect(await readdir(join(project, 'node_modules/dmas-opt/docs'))).toContain('workflow.md');
  });

  it(`installs in less than ${mostMb} MB`, async (context) => {
    if (unreachable) return context.skip(unreachable);
    expect(await megabytes(join(project, 'node_modules'))).toBeLessThan(mostMb);
  });

  it('shows help, its version and the schema', async (context) => {
    if (unreachable) return context.skip(unreachable);
    expect((await dmasOpt('--help')).stdout).toContain('run [options] <scenario>');
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
    expect((await dmasOpt('--version')).stdout.trim()).toBe(version);
    expect(JSON.parse((await dmasOpt('schema')).stdout)).toHaveProperty('properties.workflow');
  });

  it.for(examples)('copies and validates %s', async (name, context) => {
    if (unreachable) return context.skip(unreachable);
    await dmasOpt('init', name, '--example', name);
    const needed = Object.entries(await packagesOf(name)).map(([needs, version]) => `${needs}@${version}`);
    if (needed.length > 0)
      await execute('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--no-save', ...needed], { cwd: project });
    const scenario = await readFile(join(project, name, 'scenario.yaml'), 'utf8');
    const schema = /\$schema=(\S+)/.exec(scenario)?.[1] ?? '';
    expect(JSON.parse(await readFile(join(project, name, schema), 'utf8'))).toHaveProperty('title');
    expect((await dmasOpt('validate', `${name}/scenario.yaml`)).stdout).toContain('is valid');
  });

  it('compiles an example to files that need nothing beside them, and they serve', async (context) => {
    if (unreachable) return context.skip(unreachable);
    await dmasOpt('init', 'compiled', '--example', 'weather-news');
    await dmasOpt('compile', 'compiled/scenario.yaml', '--out', 'build', '--layout', 'all-in-one');
    expect((await readdir(join(project, 'build'))).sort()).toEqual(
      expect.arrayContaining(['bundles', 'configuration.json', 'entries', 'plan.json', 'plan.txt', 'start.mjs']),
    );
    await cp(join(project, 'build'), join(folder, 'elsewhere'), { recursive: true });
    expect(await answerOf(join(folder, 'elsewhere/start.mjs'))).toHaveProperty('text');
  });

  it('deploys one layout beside the baseline and measures both', async (context) => {
    if (unreachable) return context.skip(unreachable);
    const name = 'measured';
    await dmasOpt('init', name, '--example', 'weather-news');
    const file = join(project, name, 'scenario.yaml');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('workload:\n', 'budget: { time: 15s }\nworkload:\n  warmup: 200ms\n  duration: 600ms\n'));
    // 30: the short budget may end it early.
    const { stdout } = await dmasOpt('trial', `${name}/scenario.yaml`, 'all-in-one', '--progress', 'plain').catch((error: Failed) => {
      if (error.code !== 30) throw error;
      return error;
    });
    expect(stdout).toContain('report.html');
  }, 90_000);
});

/** The tarball of a fresh build, made aside: whatever stands in dist is neither used nor touched. */
async function pack(stage: string): Promise<string> {
  await mkdir(stage);
  for (const name of ['package.json', 'README.md', 'LICENSE', 'docs', 'scenarios'])
    await cp(join(root, name), join(stage, name), { recursive: true, filter: (path) => !/[\\/]\.dmas-opt(?:[\\/]|$)/.test(path) });
  await execute(process.execPath, [
    join(root, 'node_modules/typescript/bin/tsc'),
    '-p',
    join(root, 'tsconfig.build.json'),
    '--outDir',
    join(stage, 'dist'),
  ]);
  await chmod(join(stage, 'dist/cli/main.js'), 0o755);
  const { stdout } = await execute('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', stage], {
    cwd: stage,
    maxBuffer: 1 << 24,
  });
  const [packed] = JSON.parse(stdout) as { filename: string }[];
  if (packed === undefined) throw new Error('npm pack made nothing');
  return join(stage, packed.filename);
}

async function megabytes(path: string): Promise<number> {
  let sizeBytes = 0;
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) sizeBytes += (await stat(join(entry.parentPath, entry.name))).size;
  return sizeBytes / 1e6;
}

/** Starts a compiled layout, asks it once, and ends it. */
async function answerOf(start: string): Promise<unknown> {
  const child = spawn(process.execPath, [start], { cwd: tmpdir(), stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    let said = '';
    let url: string | undefined;
    for await (const piece of child.stdout) {
      said += piece;
      url = /http:\/\/[\w.:[\]]+/.exec(said)?.[0];
      if (url) break;
    }
    if (url === undefined) throw new Error(`${start} named no address: ${said}`);
    const response = await fetch(url, { method: 'POST', body: '{"city":"Oslo"}', headers: { 'content-type': 'application/json' } });
    return await response.json();
  } finally {
    child.kill('SIGINT');
    if (child.exitCode === null) await once(child, 'exit');
  }
}
