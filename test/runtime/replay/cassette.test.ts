import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { type CassetteEntry, cassetteText, entryLine, mergeEntries, parseCassette } from '../../../compiler/contracts/index.ts';
import { readCassette, readWholeCassette, writeCassette } from '../../../runtime/replay/cassette-file.ts';
import { openCassetteWriter } from '../../../runtime/replay/cassette-writer.ts';
import { createStage, modelEntry } from './support.ts';

const stage = createStage();
afterEach(() => stage.close());

const entry = fc
  .record({
    key: fc.constantFrom('a', 'b', 'c'),
    text: fc.string(),
    occurrence: fc.integer({ min: 1, max: 3 }),
    caller: fc.option(fc.constantFrom('x', 'y'), { nil: undefined }),
  })
  .map(({ key, text, occurrence, caller }) => modelEntry(key, text, { occurrence, ...(caller === undefined ? {} : { caller }) }));
const cassette = fc.array(entry, { maxLength: 12 });

describe('merging cassettes', () => {
  const text = (...parts: readonly (readonly CassetteEntry[])[]) => cassetteText(mergeEntries(...parts));
  it('is commutative, associative and idempotent, byte for byte, and loses nothing', () => {
    fc.assert(
      fc.property(cassette, cassette, cassette, (a, b, c) => {
        expect(text(a, b)).toBe(text(b, a));
        expect(text(mergeEntries(a, b), c)).toBe(text(a, mergeEntries(b, c)));
        expect(text(a, a)).toBe(text(a));
        expect(text(mergeEntries(a, b), b)).toBe(text(a, b));
        expect(new Set(mergeEntries(a, b, c).map(({ id }) => id))).toEqual(new Set([...a, ...b, ...c].map(({ id }) => id)));
      }),
    );
  });

  it('gives a file that reads as what was merged', () => {
    fc.assert(
      fc.property(cassette, (a) => {
        expect(parseCassette(text(a))).toEqual({ entries: mergeEntries(a), problems: [], torn: false });
      }),
    );
  });

  it('leaves the files alone and replaces the target in one step', async () => {
    const folder = await stage.folder();
    const [a, b, out] = ['a', 'b', 'out'].map((name) => join(folder, name)) as [string, string, string];
    await writeFile(a, entryLine(modelEntry('a', 'one')));
    await writeFile(b, entryLine(modelEntry('b', 'two')) + entryLine(modelEntry('a', 'one')));
    const merged = await writeCassette(out, await readWholeCassette(a), await readWholeCassette(b));
    expect(merged).toHaveLength(2);
    expect(await readWholeCassette(out)).toEqual(merged);
    await expect(writeCassette(join(folder, 'none', 'out'), merged)).rejects.toMatchObject({ code: 'DMAS_ENV_DISK' });
  });
});

describe('a damaged cassette', () => {
  it('names every line that is no entry, and every entry that was changed', async () => {
    const file = join(await stage.folder(), 'c.ndjson');
    const good = modelEntry('a', 'one');
    const forged = JSON.stringify({ ...good, reply: { ...good.reply, content: { text: 'two', toolCalls: [], finish: 'stop' } } });
    await writeFile(
      file,
      `${entryLine(good)}nonsense\n${forged}\n[1]\n{"schemaVersion":9}\n${JSON.stringify({ schemaVersion: 1, id: 'x' })}\n`,
    );
    const { entries, problems } = await readCassette(file);
    expect(entries).toEqual([good]);
    expect(problems.map(({ line }) => line)).toEqual([2, 3, 4, 5, 6]);
    expect(problems[1]?.message).toContain('was changed after it was recorded');
    expect(problems[3]?.message).toContain('schema version 9');
    await expect(readWholeCassette(file)).rejects.toMatchObject({
      code: 'DMAS_CASSETTE_DAMAGED',
      message: expect.stringContaining('line 2'),
    });
    await expect(readWholeCassette(`${file}.none`)).rejects.toMatchObject({ code: 'DMAS_FILE_UNREADABLE' });
  });

  it('loses its torn last line alone, and goes on after it', async () => {
    const file = join(await stage.folder(), 'c.ndjson');
    const [first, second, third] = [modelEntry('a', 'one'), modelEntry('b', 'two'), modelEntry('c', 'three')];
    await writeFile(file, entryLine(first) + entryLine(second).slice(0, -7));
    expect(await readCassette(file)).toEqual({ entries: [first], problems: [], torn: true });
    const writer = openCassetteWriter(file);
    writer.append(third);
    await writer.close();
    expect(await readCassette(file)).toEqual({ entries: [first, third], problems: [], torn: false });
    await writeFile(file, 'a torn line and nothing else');
    await openCassetteWriter(file).close();
    expect(await readFile(file, 'utf8')).toBe('');
  });

  it('appends beside what another wrote', async () => {
    const file = join(await stage.folder(), 'c.ndjson');
    const writer = openCassetteWriter(file);
    writer.append(modelEntry('a', 'one'));
    await appendFile(file, entryLine(modelEntry('b', 'two')));
    writer.append(modelEntry('c', 'three'));
    await writer.close();
    expect((await readWholeCassette(file)).map(({ keys }) => keys.exact)).toEqual(['a', 'b', 'c']);
  });
});

describe('a recorder that is killed', () => {
  it('has on disk everything it said it wrote', async () => {
    const folder = await stage.folder();
    const file = join(folder, 'c.ndjson');
    const child = spawn(
      process.execPath,
      ['--import', import.meta.resolve('tsx'), join(import.meta.dirname, '../../fixtures/replay/writing-child.ts'), file],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const exited = once(child, 'exit');
    while (said.split('\n').length < 200) await sleep(5);
    child.kill('SIGKILL');
    await exited;
    // What it said last may be cut off too.
    const acknowledged = said.split('\n').slice(0, -1).map(Number);
    const { entries, problems } = await readCassette(file);
    expect(problems).toEqual([]);
    const kept = new Set(entries.map(({ occurrence }) => occurrence));
    expect(acknowledged.filter((n) => !kept.has(n))).toEqual([]);
    expect(entries.length - acknowledged.length).toBeGreaterThanOrEqual(0);
  }, 20_000);
});
