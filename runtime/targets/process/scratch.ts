import { mkdirSync, rmSync } from 'node:fs';
import { socketFolder } from './host.ts';
import { takeLease } from './lease.ts';

/** Runs something with a temporary folder (short enough for unix sockets) that is found again after a crash. */
export async function withScratchFolder<T>(name: string, action: (folder: string) => Promise<T>): Promise<T> {
  const folder = socketFolder();
  const lease = takeLease(name, [folder]);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return await action(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    lease.release();
  }
}
