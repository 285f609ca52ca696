import { describe, expect, it } from 'vitest';
import { CallError, type CallErrorValue } from '../../../compiler/contracts/call-errors.ts';
import type { Route } from '../../../compiler/contracts/plan.ts';
import { ownCancellation } from '../../../runtime/agent/cancellation.ts';
import type { Delivery } from '../../../runtime/agent/delivery.ts';
import { ReplicaSet } from '../../../runtime/agent/replicas.ts';
import { RetryBudget } from '../../../runtime/agent/retry-budget.ts';
import { Router } from '../../../runtime/agent/router.ts';
import { emptyClock } from '../../../runtime/agent/scope.ts';
import type { Tracing } from '../../../runtime/agent/tracing.ts';
import type { OutgoingCall, Protocol } from '../../../runtime/protocols/protocol.ts';

const untracing = { start: () => undefined, inject: () => ({}) } as unknown as Tracing;

/** A protocol whose replicas answer as told. */
function fake(answer: (replica: number, call: OutgoingCall) => Promise<unknown>) {
  const calls: number[] = [];
  const closed: number[] = [];
  const protocol: Protocol = {
    bind: () => 'none',
    listen: () => Promise.reject(new Error('not used')),
    connect: ({ replica }) => ({
      call: (call) => {
        calls.push(replica);
        return answer(replica, call);
      },
      async *stream(call) {
        calls.push(replica);
        yield 'chunk';
        return await answer(replica, call);
      },
      close: async () => void closed.push(replica),
    }),
  };
  return { protocol, calls, closed };
}

const route: Route = {
  channel: 'a->b',
  from: 'a',
  to: 'b',
  protocol: 'fake',
  options: {},
  address: 'unit://u/fake',
  repeatable: false,
  balancing: 'least-outstanding',
};
const replicas = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => ({
    replica: from + i,
    instanceId: `u.${from + i}`,
    at: { host: '127.0.0.1', port: 1000 + from + i },
  }));

function setUp(answer: Parameters<typeof fake>[0], count: number, more: Partial<Route> = {}) {
  const wire = fake(answer);
  const router = new Router([{ ...route, ...more }], new Map([['fake', wire.protocol]]), untracing);
  router.update({ 'unit://u/fake': replicas(count) });
  return { ...wire, router };
}

function delivery(more: Partial<Delivery> = {}, sessionId = 's', timeoutMs = 5_000): Delivery {
  const { cancellation } = ownCancellation(timeoutMs);
  const scope = {
    requestId: 'r',
    requestClass: undefined,
    sessionId,
    origin: undefined,
    cancellation,
    ancestors: [],
    trace: { context: undefined, headers: {} },
    clock: emptyClock,
  };
  return { from: 'a', to: 'b', channel: 'a->b', pattern: 'request', body: 1, scope, ...more };
}

const fails = (value: Omit<CallErrorValue, 'message'>) => Promise.reject(new CallError({ message: value.code, ...value }));
const codeOf = (error: unknown) => (error as CallError).code;

describe('the router', () => {
  it('goes to another replica when one cannot be reached, and passes over it afterwards', async () => {
    const { router, calls } = setUp(
      (replica) => (replica === 0 ? fails({ code: 'unavailable', neverStarted: true }) : Promise.resolve('ok')),
      2,
    );
    const answers = await Promise.all(Array.from({ length: 10 }, () => router.send(delivery())));
    expect(answers).toEqual(answers.map(() => 'ok'));
    calls.length = 0;
    await router.send(delivery());
    expect(calls).toEqual([1]);
  });

  it('repeats a call whose wire broke only when the callee is safe to repeat', async () => {
    const broken = (replica: number) => (replica === 0 ? fails({ code: 'unavailable' }) : Promise.resolve('ok'));
    const unsafe = setUp(broken, 2, { balancing: 'session' });
    const key = sessionFor(0);
    await expect(unsafe.router.send(delivery({}, key))).rejects.toSatisfy((error) => codeOf(error) === 'unavailable');
    const safe = setUp(broken, 2, { balancing: 'session', repeatable: true });
    await expect(safe.router.send(delivery({}, key))).resolves.toBe('ok');
    expect(safe.calls).toEqual([0, 1]);
  });

  it.each(['failed', 'invalid', 'deadline', 'cancelled', 'unknown'] as const)('never repeats %s', async (code) => {
    const { router, calls } = setUp(() => fails({ code }), 3, { repeatable: true });
    await expect(router.send(delivery())).rejects.toSatisfy((error) => codeOf(error) === code);
    expect(calls.length).toBe(1);
  });

  it('does not take a failure behind the callee for one of the callee', async () => {
    const { router, calls } = setUp(() => fails({ code: 'unavailable', component: 'elsewhere' }), 3, { repeatable: true });
    await expect(router.send(delivery())).rejects.toThrow('unavailable');
    expect(calls.length).toBe(1);
  });

  it('repeats at most twice', async () => {
    const { router, calls } = setUp(() => fails({ code: 'unavailable', neverStarted: true }), 5);
    await expect(router.send(delivery())).rejects.toThrow('unavailable');
    expect(new Set(calls).size).toBe(3);
  });

  it('tries an overloaded callee elsewhere, and takes no for an answer when there is nowhere else', async () => {
    const two = setUp((replica) => (replica === 0 ? fails({ code: 'overloaded', neverStarted: true }) : Promise.resolve('ok')), 2);
    for (let i = 0; i < 5; i++) await expect(two.router.send(delivery())).resolves.toBe('ok');
    const one = setUp(() => fails({ code: 'overloaded', neverStarted: true }), 1);
    await expect(one.router.send(delivery())).rejects.toThrow('overloaded');
    expect(one.calls.length).toBe(1);
  });

  it('repeats no stream that has begun', async () => {
    const { router, calls } = setUp(() => fails({ code: 'unavailable', neverStarted: true }), 2, { repeatable: true });
    const chunks: unknown[] = [];
    await expect(router.send(delivery({ pattern: 'stream', emit: (chunk) => chunks.push(chunk) }))).rejects.toThrow('unavailable');
    expect([calls.length, chunks]).toEqual([1, ['chunk']]);
  });

  it('keeps retries within a share of calls when everything fails', async () => {
    const { router, calls } = setUp(() => fails({ code: 'unavailable', neverStarted: true }), 3);
    await Promise.allSettled(Array.from({ length: 200 }, () => router.send(delivery())));
    expect(calls.length - 200).toBeLessThanOrEqual(10 + 200 * 0.2 + 10);
  });

  it('sends a session to one replica, whichever unit asks, and moves only the sessions of one that is gone', async () => {
    const { router, calls } = setUp(async () => 'ok', 3, { balancing: 'session' });
    const sessions = Array.from({ length: 30 }, (_, i) => `session-${i}`);
    const ask = async () => {
      calls.length = 0;
      for (const session of sessions) await router.send(delivery({}, session));
      return [...calls];
    };
    const before = await ask();
    expect(await ask()).toEqual(before);
    expect(new Set(before).size).toBe(3);
    router.update({ 'unit://u/fake': replicas(2) });
    const after = await ask();
    before.forEach((replica, i) => {
      if (replica !== 2) expect(after[i]).toBe(replica);
    });
  });

  it('asks the instance a message is for, and no other', async () => {
    const { router, calls } = setUp(async () => 'ok', 3);
    await router.send(delivery({ instance: 'u.2' }));
    expect(calls).toEqual([2]);
    await expect(router.send(delivery({ instance: 'u.9' }))).rejects.toThrow('instance u.9 of unit://u/fake is gone');
  });

  it('refuses a channel without a route', async () => {
    const { router } = setUp(async () => 'ok', 1);
    await expect(router.send(delivery({ channel: 'a->c', to: 'c' }))).rejects.toSatisfy((error) => codeOf(error) === 'unknown');
  });

  it('closes the connection of a replica that is gone once its calls are over', async () => {
    let finish: (value: unknown) => void = () => {};
    const { router, closed } = setUp(
      () =>
        new Promise((resolve) => {
          finish = resolve;
        }),
      1,
    );
    const call = router.send(delivery());
    router.update({ 'unit://u/fake': replicas(1, 1) });
    expect(closed).toEqual([]);
    finish('late');
    await expect(call).resolves.toBe('late');
    expect(closed).toEqual([0]);
  });

  it('says what it does not know yet', () => {
    const router = new Router([route], new Map([['fake', fake(async () => 1).protocol]]), untracing);
    expect(router.missing()).toEqual(['unit://u/fake']);
    router.update({ 'unit://u/fake': replicas(1) });
    expect(router.missing()).toEqual([]);
  });
});

describe('replicas', () => {
  it('take calls where fewer are under way', () => {
    const set = new ReplicaSet(() => fakeConnection);
    set.update(replicas(2));
    const busy = set.all[0];
    if (busy !== undefined) busy.outstanding = 5;
    const picks = Array.from(
      { length: 20 },
      () => set.pick({ affinity: undefined, instance: undefined, except: new Set() })?.address.replica,
    );
    expect(new Set(picks)).toEqual(new Set([1]));
  });
});

describe('the retry budget', () => {
  it('gives a share of the deposits beyond what it starts with', () => {
    const budget = new RetryBudget();
    while (budget.withdraw());
    for (let i = 0; i < 50; i++) budget.deposit();
    let given = 0;
    while (budget.withdraw() && given < 100) given++;
    expect(given).toBeGreaterThanOrEqual(9);
    expect(given).toBeLessThanOrEqual(12);
  });
});

const fakeConnection = { call: async () => undefined, stream: async function* () {}, close: async () => {} };

/** A session whose rendezvous choice among two replicas is the given one. */
function sessionFor(replica: number): string {
  const set = new ReplicaSet(() => fakeConnection as never);
  set.update(replicas(2));
  for (let i = 0; ; i++) {
    const session = `s${i}`;
    if (set.pick({ affinity: session, instance: undefined, except: new Set() })?.address.replica === replica) return session;
  }
}
