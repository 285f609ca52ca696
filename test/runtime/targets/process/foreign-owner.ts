import { startChild } from '../../../../runtime/targets/process/child.ts';
import { takeLease } from '../../../../runtime/targets/process/lease.ts';

/** Starts a program of somebody else, says its pid, and waits to be killed. */
const child = startChild({
  run: { command: ['sleep', '1000'] },
  name: 'sleeper',
  cwd: '/',
  environment: {},
  lease: takeLease('foreign-owner', []),
  onOutput: () => {},
  onError: () => {},
});
process.stdout.write(`${child.pid}\n`);
setInterval(() => {}, 1_000);
