import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Problem } from '../../../compiler/contracts/index.ts';
import { longestSocketPath, socketFolder } from './host.ts';
import { registryFolder } from './lease.ts';

/** Lowest Node.js that runs units; the same as `engines` in package.json. */
const lowestNode = [20, 19] as const;

/** What is missing on this machine to run a plan as processes. */
export async function checkProcessTarget(): Promise<Problem[]> {
  const found = [
    nodeProblem(process.versions.node),
    temporaryFolderProblem(),
    registryProblem(),
    socketPathProblem(),
    await loopbackProblem(),
  ];
  return found.filter((problem) => problem !== null);
}

export function nodeProblem(version: string): Problem | null {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > lowestNode[0] || (major === lowestNode[0] && minor >= lowestNode[1])) return null;
  return problem(`Node.js ${version} is too old to run units.`, `Install Node.js ${lowestNode.join('.')} or newer.`);
}

function temporaryFolderProblem(): Problem | null {
  try {
    const folder = mkdtempSync(join(tmpdir(), 'dmas-check-'));
    writeFileSync(join(folder, 'probe'), '');
    rmSync(folder, { recursive: true });
    return null;
  } catch (error) {
    return problem(
      `The temporary folder ${tmpdir()} cannot be written to: ${(error as Error).message}.`,
      'Set TMPDIR to a folder that can.',
    );
  }
}

function registryProblem(): Problem | null {
  try {
    registryFolder();
    return null;
  } catch (error) {
    return problem((error as Error).message, 'Set DMAS_OPT_STATE_DIR to a private folder.');
  }
}

function socketPathProblem(): Problem | null {
  const path = join(socketFolder(), '999999.sock');
  if (process.platform !== 'win32' && path.length <= longestSocketPath) return null;
  return { ...problem('Unix sockets cannot be used here.', 'Keep transport: tcp, or set TMPDIR to a shorter path.'), severity: 'warning' };
}

function loopbackProblem(): Promise<Problem | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(problem(`Nothing can listen on 127.0.0.1: ${error.message}.`, 'Allow loopback connections.')));
    server.listen(0, '127.0.0.1', () => server.close(() => resolve(null)));
  });
}

const problem = (message: string, fix: string): Problem => ({ code: 'DMAS_ENV_TARGET', severity: 'error', message, fix });
