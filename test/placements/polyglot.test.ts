import { spawnSync } from 'node:child_process';
import { describe, it } from 'vitest';
import { protocols } from '../../cli/registry.ts';
import { answersAgree } from './suite.ts';

/** Why the Python agents cannot run here; undefined where they can. */
function missing(): string | undefined {
  if (!protocols.some(({ id }) => (id as string) === 'a2a')) return 'there is no protocol a2a';
  const python = process.env.DMAS_OPT_PYTHON;
  if (python === undefined) return 'DMAS_OPT_PYTHON does not name a Python';
  const { status, stderr } = spawnSync(python, ['-c', 'import a2a, langgraph, opentelemetry.sdk, uvicorn'], { encoding: 'utf8' });
  return status === 0 ? undefined : `${python}: ${stderr?.trim().split('\n').at(-1) ?? 'not found'}`;
}

const reason = missing();
if (reason === undefined) await answersAgree('polyglot');
else
  describe.skip(`polyglot answers the same in every placement: skipped, ${reason}`, () =>
    it('in one process of ours and two of Python', () => {}));
