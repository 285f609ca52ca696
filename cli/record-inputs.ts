import type { StageContext } from '../compiler/contracts/index.ts';
import { createPerson, followUp, pausedAnswer } from '../profiler/load/humans.ts';
import { ingressHeaders, type LoadClass } from '../profiler/load/job.ts';
import type { Workload } from '../profiler/load/workload.ts';

/** What became of the inputs of a recording. */
export interface Driven {
  readonly sent: number;
  readonly answered: number;
  readonly failures: readonly { readonly input: string; readonly reason: string }[];
}

interface Drive {
  /** How often each input is sent. */
  readonly passes: number;
  /** How many are under way at once. */
  readonly concurrency: number;
  /** Names the requests. */
  readonly block: string;
}

/** Sends every input of every class, each under an id of its own. Failures are told, not thrown. */
export async function driveInputs(
  workload: Workload,
  urls: readonly string[],
  drive: Drive,
  { signal, emit }: StageContext,
): Promise<Driven> {
  const failures: { input: string; reason: string }[] = [];
  let answered = 0;
  let sent = 0;
  const waiting = Array.from({ length: drive.passes }, (_, pass) =>
    workload.classes.flatMap((load) => load.inputs.map((input, index) => ({ load, input, index, pass }))),
  ).flat();
  const total = waiting.length;
  const send = async () => {
    for (let next = waiting.shift(); next !== undefined && !signal.aborted; next = waiting.shift()) {
      const { load, input, index, pass } = next;
      const url = urls[sent++ % urls.length];
      const id = `${drive.block}.${load.name}.${pass}.${index}`;
      const reason = await ask(`${url}/`, load, input, id, index, signal);
      if (reason === undefined) answered++;
      else failures.push({ input: `${load.name} ${index + 1}`, reason });
      if (answered % 10 === 0) emit({ type: 'notice', severity: 'info', message: `${answered} of ${total} inputs answered` });
    }
  };
  await Promise.all(Array.from({ length: Math.min(drive.concurrency, total) }, send));
  return { sent, answered, failures };
}

/** Why there was no answer; undefined when there was one. Questions to a person are answered as the scenario's script says, at once. */
async function ask(
  url: string,
  load: LoadClass,
  input: unknown,
  id: string,
  index: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const person = createPerson(load);
  const first = {
    'content-type': 'application/json',
    [ingressHeaders.class]: load.name,
    [ingressHeaders.request]: id,
    [ingressHeaders.deadlineMs]: String(load.timeoutMs),
    ...(load.stream ? { accept: 'text/event-stream' } : {}),
    ...(load.sessions === undefined ? {} : { [ingressHeaders.session]: `${load.name}-${index % load.sessions}` }),
  };
  let next: { readonly body: Buffer; readonly headers: { readonly [name: string]: string } } = {
    body: Buffer.from(JSON.stringify(input)),
    headers: {},
  };
  try {
    for (;;) {
      const response = await fetch(url, { method: 'POST', body: next.body.toString(), signal, headers: { ...first, ...next.headers } });
      const error = errorIn(response.status, await response.text());
      const paused = pausedAnswer(error?.value);
      const replies = paused && person.repliesTo(paused);
      if (paused === undefined || replies === undefined) return error?.text;
      next = followUp(paused, input, replies);
    }
  } catch (error) {
    return (error as Error).message;
  }
}

/** The error of an answer, also of one that came as a stream. */
function errorIn(status: number, text: string): { readonly text: string; readonly value: unknown } | undefined {
  const event = /^data: (\{"error":.*)$/m.exec(text)?.[1];
  if (status === 200 && event === undefined) return undefined;
  const said = event ?? text;
  const value = parsed(said) as { readonly error?: unknown } | undefined;
  return { text: `status ${status} ${said.slice(0, 300)}`, value: event === undefined ? value : value?.error };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
