import type { StageContext } from '../compiler/contracts/index.ts';
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

/** Why there was no answer; undefined when there was one. */
async function ask(
  url: string,
  load: LoadClass,
  input: unknown,
  id: string,
  index: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      body: JSON.stringify(input),
      signal,
      headers: {
        'content-type': 'application/json',
        [ingressHeaders.class]: load.name,
        [ingressHeaders.request]: id,
        [ingressHeaders.deadlineMs]: String(load.timeoutMs),
        ...(load.stream ? { accept: 'text/event-stream' } : {}),
        ...(load.sessions === undefined ? {} : { [ingressHeaders.session]: `${id.split('.')[0]}-${index % load.sessions}` }),
      },
    });
    const text = await response.text();
    if (response.status !== 200) return `status ${response.status} ${text.slice(0, 300)}`;
    const error = load.stream ? /^data: (\{"error":.*)$/m.exec(text)?.[1] : undefined;
    return error;
  } catch (error) {
    return (error as Error).message;
  }
}
