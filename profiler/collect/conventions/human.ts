import { type Convention, fill, text } from './convention.ts';

/**
 * Waits for a person. There is no convention, so these are read as one:
 * - an attribute `human`, `human.wait`, `hitl` or `dmas.human` that is true
 * - a task state (`a2a.task.state`, `task.state`) of `input-required` or `auth-required`, as A2A names them
 * - a span or tool (not a server's, not an agent's) whose name has one of the words in `words` between other words
 */
export const human: Convention = {
  id: 'human',
  read({ attributes, name, kind }, reading) {
    const flagged = flags.some((flag) => isTrue(attributes.get(flag)));
    const state = text(attributes, 'a2a.task.state', 'task.state');
    const paused = state !== undefined && /(input|auth)[-_ ]?required/i.test(state);
    const open = reading.act === undefined || reading.act === 'tool' || reading.act === 'frame';
    const called =
      open && kind !== 'server' && kind !== 'consumer' && words.test(plain(reading.act === 'tool' ? (reading.subject ?? name) : name));
    if (!flagged && !paused && !called) return false;
    // A server that answers "input required" did not wait itself.
    if (paused && !flagged && (kind === 'server' || kind === 'client')) return false;
    reading.act = 'human';
    reading.subject = 'human';
    fill(reading, 'protocol', 'human');
    return true;
  },
};

const flags = ['human', 'human.wait', 'hitl', 'dmas.human'] as const;
const isTrue = (value: unknown) => value === true || value === 'true' || value === 1;

/** `waitForApproval`, `wait-for approval` and `wait.for.approval` are one. */
const plain = (name: string) =>
  name
    .slice(0, 200)
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replace(/[^A-Za-z0-9]+/g, '_')
    .toLowerCase();

const words =
  /(^|_)(human_(input|approval|review|feedback|reply|response|step|node|wait|in_the_loop)|(wait|waiting)_for_(human|user|approval|input)|(ask|request)_(human|user|approval)|user_(input|approval)|await_approval|approval|interrupt|input_required|hitl)(_|$)|^human$/;
