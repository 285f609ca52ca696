import { CallError, toCallError } from '../../compiler/contracts/call-errors.ts';
import type { Delivery, TopicStamp } from './delivery.ts';
import type { Finished } from './runtime.ts';
import { type Clock, sourceOf } from './scope.ts';

interface Pending {
  readonly delivery: Delivery;
  readonly finished: Finished;
  readonly source: string;
  readonly sequence: number;
  /** What must have been handled here before. */
  readonly causes: Clock;
}

interface Conversation {
  readonly id: string;
  /** Last sequence number accepted per source; lower ones are repetitions. */
  readonly accepted: Map<string, number>;
  /** Last sequence number handled per source. */
  readonly handled: Map<string, number>;
  readonly pending: Pending[];
  running: boolean;
  patience: NodeJS.Timeout | undefined;
}

/** Conversations remembered although nothing is pending in them, to know repetitions. */
const rememberedConversations = 4_096;
/** How long a message waits for one that caused it; the cause may have been lost with its receiver. */
const patienceMs = 1_000;

/** The topic messages of one subscriber: bounded, one at a time per conversation, causes before effects. */
export class Inbox {
  readonly #component: string;
  readonly #limit: number;
  readonly #run: (delivery: Delivery) => Promise<unknown>;
  readonly #receives: (source: string, conversation: string) => boolean;
  readonly #conversations = new Map<string, Conversation>();
  #queued = 0;

  constructor(
    component: string,
    limit: number,
    run: (delivery: Delivery) => Promise<unknown>,
    receives: (source: string, conversation: string) => boolean,
  ) {
    this.#component = component;
    this.#limit = limit;
    this.#run = run;
    this.#receives = receives;
  }

  get queued(): number {
    return this.#queued;
  }

  /** @throws CallError `overloaded` */
  accept(delivery: Delivery, finished: Finished): void {
    const stamp = delivery.topic;
    if (stamp === undefined)
      throw new CallError({ code: 'invalid', message: 'a published message lacks its topic', component: delivery.to });
    const conversation = this.#conversation(stamp.conversation);
    const source = sourceOf(stamp.name, delivery.from, stamp.publisher);
    if (stamp.sequence <= (conversation.accepted.get(source) ?? 0)) {
      finished(undefined);
      return;
    }
    if (this.#queued >= this.#limit) {
      const message = `the queue of ${this.#component} is full (${this.#limit} waiting)`;
      throw new CallError({ code: 'overloaded', message, component: this.#component, neverStarted: true });
    }
    conversation.accepted.set(source, stamp.sequence);
    this.#queued++;
    conversation.pending.push({
      delivery: withClock(delivery, source, stamp),
      finished,
      source,
      sequence: stamp.sequence,
      causes: delivery.scope.clock,
    });
    this.#pump(conversation);
  }

  #pump(conversation: Conversation): void {
    if (conversation.running) return;
    const index = this.#next(conversation);
    clearTimeout(conversation.patience);
    conversation.patience = undefined;
    if (index === undefined) {
      if (conversation.pending.length > 0) this.#wait(conversation);
      return;
    }
    const [next] = conversation.pending.splice(index, 1);
    if (next !== undefined) void this.#handle(conversation, next);
  }

  /** The first message whose causes were handled, and that overtakes none of its own source. */
  #next(conversation: Conversation): number | undefined {
    const held = new Set<string>();
    for (const [index, pending] of conversation.pending.entries()) {
      if (!held.has(pending.source) && this.#causesHandled(conversation, pending)) return index;
      held.add(pending.source);
    }
    return undefined;
  }

  #causesHandled(conversation: Conversation, { causes }: Pending): boolean {
    for (const source in causes) {
      if ((conversation.handled.get(source) ?? 0) >= (causes[source] ?? 0)) continue;
      if (this.#receives(source, conversation.id)) return false;
    }
    return true;
  }

  /** What does not come in time is taken for lost: the oldest message goes ahead without it. */
  #wait(conversation: Conversation): void {
    conversation.patience = setTimeout(() => {
      conversation.patience = undefined;
      const next = conversation.running ? undefined : conversation.pending.shift();
      if (next !== undefined) void this.#handle(conversation, next);
    }, patienceMs);
  }

  async #handle(conversation: Conversation, next: Pending): Promise<void> {
    conversation.running = true;
    let error: CallError | undefined;
    try {
      await this.#run(next.delivery);
    } catch (thrown) {
      error = toCallError(thrown, this.#component);
    }
    conversation.running = false;
    conversation.handled.set(next.source, Math.max(next.sequence, conversation.handled.get(next.source) ?? 0));
    this.#queued--;
    next.finished(error);
    this.#pump(conversation);
  }

  #conversation(id: string): Conversation {
    const known = this.#conversations.get(id);
    if (known !== undefined) return known;
    const conversation: Conversation = { id, accepted: new Map(), handled: new Map(), pending: [], running: false, patience: undefined };
    this.#conversations.set(id, conversation);
    if (this.#conversations.size > rememberedConversations) this.#forgetOne();
    return conversation;
  }

  /** The oldest that is quiet. */
  #forgetOne(): void {
    for (const [id, conversation] of this.#conversations) {
      if (conversation.running || conversation.pending.length > 0) continue;
      this.#conversations.delete(id);
      return;
    }
  }
}

/** What the handler publishes comes after this message. */
function withClock(delivery: Delivery, source: string, stamp: TopicStamp): Delivery {
  return { ...delivery, scope: { ...delivery.scope, clock: { ...delivery.scope.clock, [source]: stamp.sequence } } };
}
