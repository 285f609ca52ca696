import type { ProcessBinding } from '../../compiler/contracts/binding.ts';
import type { CallError } from '../../compiler/contracts/call-errors.ts';
import type { Activity } from './activity.ts';
import type { Delivery } from './delivery.ts';
import type { Dispatcher } from './dispatch.ts';
import type { Effects } from './effects.ts';
import type { Flights } from './flights.ts';
import type { GraphRuns } from './graph-runs.ts';
import type { Models } from './models.ts';
import type { UnitProgram } from './program.ts';
import type { Router } from './router.ts';
import type { UnitState } from './state.ts';
import type { Topics } from './topics.ts';
import type { Tracing } from './tracing.ts';

/** The organs of one unit, joined in `unit.ts`; each is in the file of its name. */
export interface Runtime {
  readonly program: UnitProgram;
  readonly binding: ProcessBinding;
  /** `DMAS_FREEZE=1`: messages between components of this process are deep-frozen. */
  readonly freeze: boolean;
  readonly tracing: Tracing;
  readonly activity: Activity;
  readonly flights: Flights;
  readonly router: Router;
  readonly dispatcher: Dispatcher;
  readonly topics: Topics;
  readonly graphs: GraphRuns;
  readonly state: UnitState;
  readonly models: Models;
  /** What may be called for real, what comes from the tape, and what is recorded. */
  readonly effects: Effects;
  /** Whether a component is in this process, given the instance a message is for. */
  hosts(component: string, instance: string | undefined): boolean;
  /**
   * Hands a message to a component of this process. Settles with the reply; for one-way messages when they are accepted,
   * and `finished` is called when their handler is done. @throws CallError at once when the message is not taken
   */
  deliver(delivery: Delivery, finished?: Finished): Promise<unknown>;
}

/** Called once, when the handler of a one-way message is done. */
export type Finished = (error: CallError | undefined) => void;
