import { closeSync, fdatasync, fstatSync, ftruncateSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { type CassetteEntry, entryLine } from '../../compiler/contracts/index.ts';

/** Appends entries to a cassette file. One writer per file. */
export interface CassetteWriter {
  /** On return the line belongs to the operating system: the death of this process does not take it away. Throws what the disk says. */
  append(entry: CassetteEntry): void;
  /** Resolves when everything appended is on the disk. */
  close(): Promise<void>;
}

/** Opens a cassette for appending; a last line without an end, left by a writer that died, is cut off first. */
export function openCassetteWriter(file: string): CassetteWriter {
  mkdirSync(dirname(file), { recursive: true });
  const fd = openSync(file, 'a+', 0o600);
  ftruncateSync(fd, endOfLastLine(fd));
  let syncing: Promise<void> | undefined;
  let again = false;
  let closing: Promise<void> | undefined;
  const sync = (): Promise<void> => {
    again = true;
    syncing ??= (async () => {
      while (again) {
        again = false;
        await new Promise<void>((resolve) => fdatasync(fd, () => resolve()));
      }
      syncing = undefined;
    })();
    return syncing;
  };
  let sizeBytes = fstatSync(fd).size;
  return {
    append: (entry) => {
      const line = Buffer.from(entryLine(entry));
      try {
        for (let written = 0; written < line.length; ) written += writeSync(fd, line, written);
      } catch (error) {
        // A part of a line would swallow the next one.
        ftruncateSync(fd, sizeBytes);
        throw error;
      }
      sizeBytes += line.length;
      void sync();
    },
    close: () => {
      // Closed twice, a number may already be another file's.
      closing ??= sync().then(() => closeSync(fd));
      return closing;
    },
  };
}

const blockBytes = 64 * 1024;

function endOfLastLine(fd: number): number {
  const block = Buffer.alloc(blockBytes);
  for (let end = fstatSync(fd).size; end > 0; ) {
    const start = Math.max(0, end - blockBytes);
    const read = readSync(fd, block, 0, end - start, start);
    const newline = block.subarray(0, read).lastIndexOf(0x0a);
    if (newline >= 0) return start + newline + 1;
    end = start;
  }
  return 0;
}
