import type { TopicRef } from '../../compiler/api/definitions.ts';
import { CallError, toCallError } from '../../compiler/contracts/call-errors.ts';
import type { PlannedTopic } from '../../compiler/contracts/plan.ts';
import type { Delivery, TopicStamp } from './delivery.ts';
import { rendezvous } from './hashing.ts';
import { hop } from './hop.ts';
import { Inbox } from './inbox.ts';
import { ingressComponent } from './program.ts';
import type { Finished, Runtime } from './runtime.ts';
import { check } from './schema-check.ts';
import { type Clock, type Scope, sourceOf } from './scope.ts';

/**
 * Publish and subscribe without a broker: the publisher hands each message to every receiver and is answered when all
 * have queued it.
 *
 * A conversation is a session (a request, where the user named no session). Within one: a receiver gets the messages of
 * one publisher in the order they were published, no message before one that caused it, and handles them one at a time.
 * Between publishers that know nothing of each other no order is promised.
 */
export class Topics {
  readonly #runtime: () => Runtime;
  readonly #planned: ReadonlyMap<string, PlannedTopic>;
  readonly #inboxes = new Map<string, Inbox>();
  /** Last publish under way per publisher and conversation; the next waits for it. */
  readonly #underWay = new Map<string, Promise<unknown>>();
  #sequence = 0;

  constructor(planned: readonly PlannedTopic[], runtime: () => Runtime) {
    this.#runtime = runtime;
    this.#planned = new Map(planned.map((topic) => [topic.name, topic]));
  }

  /**
   * Publishes, and returns the clock that later messages of the publisher must carry.
   *
   * @throws CallError of the first receiver in declared order that did not take it; the others have it.
   */
  async publish(publisher: string, topic: TopicRef, message: unknown, scope: Scope): Promise<Clock> {
    const body = check(topic.message, message, topic.name, 'message');
    const planned = this.#planned.get(topic.name);
    if (planned === undefined) throw new CallError({ code: 'unknown', message: `topic ${topic.name} is not known in this unit` });
    const conversation = scope.sessionId;
    const { instanceId } = this.#runtime().binding;
    const stamp: TopicStamp = { name: topic.name, conversation, sequence: ++this.#sequence, publisher: instanceId };
    const key = `${publisher}\u0000${conversation}`;
    const before = this.#underWay.get(key);
    const sent = (before ?? Promise.resolve()).then(() => this.#fanOut(publisher, planned, body, stamp, scope));
    const settled = sent.catch(() => {});
    this.#underWay.set(key, settled);
    try {
      await sent;
    } finally {
      if (this.#underWay.get(key) === settled) this.#underWay.delete(key);
    }
    return { ...scope.clock, [sourceOf(topic.name, publisher, instanceId)]: stamp.sequence };
  }

  /** Takes a message for a subscriber of this unit. @throws CallError `overloaded` */
  accept(delivery: Delivery, finished: Finished): void {
    let inbox = this.#inboxes.get(delivery.to);
    if (inbox === undefined) {
      const { binding, dispatcher } = this.#runtime();
      inbox = new Inbox(
        delivery.to,
        binding.queueLimit,
        (next) => dispatcher.start(next, true),
        (source, conversation) => this.#receives(delivery.to, source, conversation),
      );
      this.#inboxes.set(delivery.to, inbox);
    }
    inbox.accept(delivery, finished);
  }

  stats() {
    return [...this.#inboxes].map(([component, inbox]) => ({ component, queued: inbox.queued }));
  }

  async #fanOut(publisher: string, topic: PlannedTopic, body: unknown, stamp: TopicStamp, scope: Scope): Promise<void> {
    const message = { from: publisher, channel: `topic:${topic.name}`, pattern: 'publish', body, scope, topic: stamp } as const;
    const results = await Promise.allSettled(
      receiversOf(topic, stamp.conversation).map((to) =>
        hop(this.#runtime(), {
          ...message,
          to,
          affinity: stamp.conversation,
          // The request waits at one instance of the ingress; others know nothing of it.
          ...(to === ingressComponent && scope.origin !== undefined ? { instance: scope.origin } : {}),
        }),
      ),
    );
    for (const result of results) if (result.status === 'rejected') throw toCallError(result.reason);
  }

  /** Whether messages from a source come to a component, so that waiting for one makes sense. */
  #receives(component: string, source: string, conversation: string): boolean {
    const topic = this.#planned.get(source.slice(0, source.indexOf('|')));
    return topic !== undefined && receiversOf(topic, conversation).includes(component);
  }
}

/** Broadcast: every subscriber. Anycast: one, by the conversation alone, so that it is the same in every layout. */
function receiversOf(topic: PlannedTopic, conversation: string): readonly string[] {
  if (topic.delivery === 'broadcast') return topic.subscribers;
  const agents = topic.subscribers.filter((name) => name !== ingressComponent);
  const chosen = rendezvous(conversation, agents, (name) => name);
  return topic.subscribers.filter((name) => name === chosen || name === ingressComponent);
}
