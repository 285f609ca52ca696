import type { Sequence } from './sequence.ts';

/** From how many emptied places on the list is cut, once they are half of it. */
const emptyPlacesMin = 1024;

/**
 * Who waits for admission: preempted sequences before everybody else, the one preempted last first; then first come first
 * served. Whoever is not `waiting` any more is passed over.
 */
export interface WaitingQueue {
  push(sequence: Sequence): void;
  pushPreempted(sequence: Sequence): void;
  /** Who is next; stays in the queue. */
  head(): Sequence | undefined;
  /** Takes out what `head` has just given. */
  popHead(): void;
  /** A waiting sequence is to be passed over from now on; the caller changes its state. */
  leave(): void;
  readonly length: number;
}

export function createWaitingQueue(): WaitingQueue {
  let queue: (Sequence | undefined)[] = [];
  let queueHead = 0;
  const preempted: Sequence[] = [];
  let waiting = 0;
  return {
    push: (sequence) => {
      queue.push(sequence);
      waiting++;
    },
    pushPreempted: (sequence) => {
      preempted.push(sequence);
      waiting++;
    },
    head: () => {
      while (preempted.length > 0 && preempted[preempted.length - 1]?.state !== 'waiting') preempted.pop();
      if (preempted.length > 0) return preempted[preempted.length - 1];
      while (queueHead < queue.length && queue[queueHead]?.state !== 'waiting') queue[queueHead++] = undefined;
      if (queueHead > emptyPlacesMin && queueHead * 2 > queue.length) {
        queue = queue.slice(queueHead);
        queueHead = 0;
      }
      return queue[queueHead];
    },
    popHead: () => {
      if (preempted.length > 0) preempted.pop();
      else queue[queueHead++] = undefined;
      waiting--;
    },
    leave: () => {
      waiting--;
    },
    get length() {
      return waiting;
    },
  };
}
