import type { ModelLimits } from '../../../compiler/contracts/index.ts';
import { type Counted, createWindows, type Windows } from './quota.ts';

/**
 * A call that has been sent reaches its provider within this time, or as soon as it is answered: from then on it counts
 * against the windows. Calls sent a window apart may arrive closer than that when the first travelled longer.
 */
const longestTravelMs = 250;

/** Who asks: one process. */
export type Holder = string;

export interface Asked {
  readonly holder: Holder;
  /** Of the call, unique for its holder. */
  readonly id: number;
  readonly model: string;
  /** Estimate for prompt and reply. */
  readonly tokens: number;
}

interface Permit {
  readonly asked: Asked;
  readonly model: Model;
  readonly call: Counted;
  sent: boolean;
}

interface Model {
  readonly concurrency: number;
  readonly windows: Windows;
  /** First come, first served: a large call is not overtaken by small ones. */
  readonly queue: { readonly asked: Asked; readonly sinceMs: number }[];
  inUse: number;
  granted: number;
  waitedMs: number;
}

export interface LimiterStats {
  readonly [model: string]: { readonly granted: number; readonly waiting: number; readonly inUse: number; readonly waitedMs: number };
}

/** Who may call which model now, for everybody of a deployment. Knows no clock and no connection: times come with every call. */
export interface LimiterDesk {
  ask(asked: Asked, nowMs: number): void;
  /** A permit that was given by a limiter before this one. */
  hold(asked: Asked, nowMs: number): void;
  sent(holder: Holder, id: number, nowMs: number): void;
  /** The call is over, or its asker does not want it any more. */
  leave(holder: Holder, id: number, nowMs: number, tokens?: number): void;
  /** The process is gone, and its calls with it. */
  drop(holder: Holder, nowMs: number): void;
  /** Gives out what can be given now. */
  grants(nowMs: number): Asked[];
  /** When to look again although nobody said anything; Infinity: not before somebody does. */
  nextMs(nowMs: number): number;
  stats(): LimiterStats;
}

export function createLimiterDesk(limits: { readonly [model: string]: ModelLimits }): LimiterDesk {
  const models = new Map(
    Object.entries(limits).map(([name, given]): [string, Model] => [
      name,
      {
        concurrency: given.concurrency ?? Number.POSITIVE_INFINITY,
        windows: createWindows(given),
        queue: [],
        inUse: 0,
        granted: 0,
        waitedMs: 0,
      },
    ]),
  );
  const permits = new Map<string, Permit>();
  const keyOf = (holder: Holder, id: number) => `${holder} ${id}`;
  const modelOf = (name: string): Model => {
    const model = models.get(name);
    if (model === undefined) throw new RangeError(`model ${name} has no limits here`);
    return model;
  };
  const give = (asked: Asked, model: Model): Permit => {
    const permit = { asked, model, call: model.windows.add(asked.tokens), sent: false };
    permits.set(keyOf(asked.holder, asked.id), permit);
    model.inUse++;
    return permit;
  };
  const takeBack = (permit: Permit, nowMs: number, tokens?: number) => {
    permits.delete(keyOf(permit.asked.holder, permit.asked.id));
    permit.model.inUse--;
    if (!permit.sent) {
      permit.model.windows.remove(permit.call);
      return;
    }
    permit.call.fromMs = Math.min(permit.call.fromMs, nowMs);
    if (tokens !== undefined) permit.call.tokens = tokens;
  };
  const waitMs = ({ concurrency, inUse, windows }: Model, tokens: number, nowMs: number) =>
    inUse >= concurrency ? Number.POSITIVE_INFINITY : windows.waitMs(tokens, nowMs);

  return {
    ask: (asked, nowMs) => void modelOf(asked.model).queue.push({ asked, sinceMs: nowMs }),
    hold: (asked, nowMs) => {
      const permit = give(asked, modelOf(asked.model));
      permit.sent = true;
      permit.call.fromMs = nowMs;
    },
    sent: (holder, id, nowMs) => {
      const permit = permits.get(keyOf(holder, id));
      if (permit === undefined) return;
      permit.sent = true;
      permit.call.fromMs = nowMs + longestTravelMs;
    },
    leave: (holder, id, nowMs, tokens) => {
      const permit = permits.get(keyOf(holder, id));
      if (permit !== undefined) takeBack(permit, nowMs, tokens);
      for (const { queue } of permit === undefined ? models.values() : []) {
        const at = queue.findIndex(({ asked }) => asked.holder === holder && asked.id === id);
        if (at >= 0) queue.splice(at, 1);
      }
    },
    drop: (holder, nowMs) => {
      for (const permit of [...permits.values()]) {
        // A dead process cannot say whether its call went out.
        permit.sent ||= permit.asked.holder === holder;
        if (permit.asked.holder === holder) takeBack(permit, nowMs);
      }
      for (const { queue } of models.values())
        for (let at = queue.length - 1; at >= 0; at--) if (queue[at]?.asked.holder === holder) queue.splice(at, 1);
    },
    grants: (nowMs) => {
      const given: Asked[] = [];
      for (const model of models.values()) {
        for (let first = model.queue[0]; first !== undefined; first = model.queue[0]) {
          if (waitMs(model, first.asked.tokens, nowMs) > 0) break;
          model.queue.shift();
          model.granted++;
          model.waitedMs += nowMs - first.sinceMs;
          give(first.asked, model);
          given.push(first.asked);
        }
      }
      return given;
    },
    nextMs: (nowMs) => {
      const waits = [...models.values()].flatMap((model) => {
        const [first] = model.queue;
        return first === undefined ? [] : [waitMs(model, first.asked.tokens, nowMs)];
      });
      return nowMs + Math.min(Number.POSITIVE_INFINITY, ...waits);
    },
    stats: () =>
      Object.fromEntries(
        [...models].map(([name, { granted, queue, inUse, waitedMs }]) => [name, { granted, waiting: queue.length, inUse, waitedMs }]),
      ),
  };
}
