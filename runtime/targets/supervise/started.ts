import { type LogicalAddress, type StartedReport, startedPrefix } from '../../../compiler/contracts/index.ts';
import { type Exit, exitText } from './host.ts';
import type { Member } from './members.ts';

/** Watches the lines of a starting replica for its started report; every other line goes on to `onLine`. */
export function startedWatcher(onLine: (line: string) => void): {
  readonly onOutput: (line: string) => void;
  readonly report: Promise<StartedReport>;
} {
  let resolve: (report: StartedReport) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const report = new Promise<StartedReport>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  report.catch(() => {});
  return {
    report,
    onOutput(line) {
      if (!line.startsWith(startedPrefix)) return onLine(line);
      try {
        resolve(JSON.parse(line.slice(startedPrefix.length)) as StartedReport);
      } catch (error) {
        reject(new Error(`printed a started line that is not JSON: ${line.slice(0, 200)}`, { cause: error }));
      }
    },
  };
}

/** Throws when a replica does not listen where its plan says. */
export function checkReport(report: StartedReport, member: Member): void {
  const missing = member.listens.map(({ address }) => address).filter((address: LogicalAddress) => !report.listen?.[address]);
  if (!report.control || missing.length > 0)
    throw new Error(`started, but does not listen on ${report.control ? missing.join(', ') : 'its control address'}`);
}

/** The value, unless the replica ends or `signal` aborts first. */
export function beforeExit<T>(value: Promise<T>, exited: Promise<Exit>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    void exited.then((exit) => reject(new Error(`${exitText(exit)} before it had started`)));
    value.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
