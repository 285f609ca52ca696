import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dockerName } from '../../../../runtime/targets/docker/labels.ts';
import { DeadlineExceeded, deadline } from '../../../../runtime/targets/supervise/deadline.ts';
import { failOnDisk } from '../../../../runtime/targets/supervise/disk.ts';

describe('failOnDisk', () => {
  it('names a full disk and lets every other failure pass', () => {
    expect(() => failOnDisk(Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }))).toThrow(
      expect.objectContaining({ code: 'DMAS_ENV_DISK' }),
    );
    expect(() => failOnDisk(Object.assign(new Error('connection refused'), { code: 'ECONNREFUSED' }))).not.toThrow();
    expect(() => failOnDisk('nonsense')).not.toThrow();
  });
});

describe('deadline', () => {
  it('aborts with its own reason when the time is over, with the signal’s when that comes first', async () => {
    const late = deadline(1);
    await new Promise((resolve) => late.signal.addEventListener('abort', resolve));
    expect(late.signal.reason).toBeInstanceOf(DeadlineExceeded);
    const controller = new AbortController();
    const interrupted = deadline(60_000, controller.signal);
    controller.abort('stop');
    expect(interrupted.signal.reason).toBe('stop');
    interrupted.clear();
    const after = deadline(60_000, controller.signal);
    expect(after.signal.aborted).toBe(true);
    after.clear();
  });

  it('forgets everything when cleared', () => {
    const controller = new AbortController();
    const until = deadline(60_000, controller.signal);
    until.clear();
    controller.abort();
    expect(until.signal.aborted).toBe(false);
  });
});

describe('dockerName', () => {
  it('keeps what tells long names apart', () => {
    const id = `${'long-agent-name+'.repeat(4)}x`;
    expect(dockerName(`${id}.0.1`)).not.toBe(dockerName(`${id}.0.2`));
    expect(dockerName(`${id}.0.1`)).toMatch(/^[a-z0-9][a-z0-9-]{1,47}$/);
  });

  it('gives hosts that URLs take as they are', () => {
    expect(dockerName('A+b~c_d.0.1')).toBe('a-b-c-d-0-1');
    fc.assert(
      fc.property(fc.stringMatching(/^[a-zA-Z0-9][\w.+~-]{0,60}$/), fc.nat(9), (id, replica) => {
        const host = dockerName(`${id}.${replica}.1`);
        expect(new URL(`http://${host}:7001`).hostname).toBe(host);
      }),
    );
  });
});
