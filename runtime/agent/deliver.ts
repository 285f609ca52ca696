import { toCallError } from '../../compiler/contracts/call-errors.ts';
import type { Delivery } from './delivery.ts';
import { unknownComponent } from './dispatch.ts';
import type { Ingress } from './ingress.ts';
import { ingressComponent } from './program.ts';
import type { Finished, Runtime } from './runtime.ts';

/** Hands a message to what it is for: a node of a graph run, a topic's inbox, or a turn of a component. Throws when it is not taken. */
export function deliver(
  runtime: Runtime,
  ingress: Ingress | undefined,
  delivery: Delivery,
  finished: Finished = () => {},
): Promise<unknown> {
  if (delivery.graph !== undefined) return runtime.graphs.receive(delivery);
  if (delivery.pattern === 'publish') {
    if (delivery.to === ingressComponent && ingress !== undefined) {
      ingress.complete(delivery);
      finished(undefined);
      return accepted;
    }
    if (!runtime.dispatcher.has(delivery.to)) throw unknownComponent(delivery.to);
    runtime.topics.accept(delivery, finished);
    return accepted;
  }
  const turn = runtime.dispatcher.start(delivery);
  if (delivery.pattern !== 'send') return turn;
  // Accepted: the sender goes on, what becomes of it shows in the trace.
  turn.then(
    () => finished(undefined),
    (error) => finished(toCallError(error, delivery.to)),
  );
  return accepted;
}

const accepted = Promise.resolve(undefined);
