import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseLdd } from '../../../../runtime/targets/docker/image.ts';
import { tar } from '../../../../runtime/targets/docker/tar.ts';
import { temporaryFolder } from '../fixtures.ts';

let folder = '';
beforeAll(() => {
  folder = temporaryFolder();
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('tar', () => {
  it('is read back by the tar of the system, files of any length', () => {
    let run = 0;
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 1200 }), { minLength: 1, maxLength: 4 }), (contents) => {
        run += 1;
        const into = join(folder, `run-${run}`);
        mkdirSync(into);
        const files = contents.map((content, index) => ({ path: `app/file-${index}`, content, mode: 0o640 }));
        writeFileSync(join(into, 'a.tar'), Buffer.concat([...tar([{ path: 'app', mode: 0o755 }, ...files])]));
        execFileSync('tar', ['-xpf', 'a.tar'], { cwd: into });
        for (const { path, content } of files) {
          expect(new Uint8Array(readFileSync(join(into, path)))).toEqual(content);
          expect(statSync(join(into, path)).mode & 0o777).toBe(0o640);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('refuses a path that does not fit', () => {
    expect(() => [...tar([{ path: 'x'.repeat(101), content: new Uint8Array(), mode: 0o644 }])]).toThrow(/too long/);
  });
});

describe('parseLdd', () => {
  it('finds libraries and the loader, not the kernel’s own', () => {
    const output = `\tlinux-vdso.so.1 (0x00007ffd1)
\tlibdl.so.2 => /lib/x86_64-linux-gnu/libdl.so.2 (0x00007f1)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f2)\n`;
    expect(parseLdd(output)).toEqual(['/lib/x86_64-linux-gnu/libdl.so.2', '/lib64/ld-linux-x86-64.so.2']);
  });
});
