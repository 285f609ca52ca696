import { finishDeletion } from '../api/remove.ts';
import { tellEvent, writeStatus } from '../api/system.ts';
import { builtInKind, type World } from '../api/world.ts';
import { isObject, type JsonObject, type KubeObject, numberAt, objectsAt, textAt } from '../state/json.ts';
import { now } from '../state/store.ts';
import { ContainerLog } from './container-log.ts';
import type { Engine, Exit, Running } from './engine.ts';
import { type ContainerView, type PodView, podStatus } from './pod-status.ts';

export interface WorkerOptions {
  readonly readyMs: number;
  readonly pullMs: number;
  /** First wait after a crash; doubled up to sixteen times as long. */
  readonly backoffMs: number;
  /** A container that ran longer starts again at the first wait. */
  readonly calmMs: number;
  readonly hostIp: string;
}

/** Runs one pod's containers until it is told to end. */
export class PodWorker {
  readonly view: PodView;
  readonly logs = new Map<string, { present: ContainerLog; previous: ContainerLog | null }>();
  private readonly world: World;
  private readonly engine: Engine;
  private readonly pod: KubeObject;
  private readonly options: WorkerOptions;
  private readonly running = new Map<string, Running>();
  private readonly timers = new Set<NodeJS.Timeout>();
  private ending = false;
  private finished: Promise<void>;

  constructor(world: World, engine: Engine, pod: KubeObject, podIp: string, options: WorkerOptions) {
    this.world = world;
    this.engine = engine;
    this.pod = pod;
    this.options = options;
    const seen =
      (init: boolean) =>
      (container: JsonObject): ContainerView => ({
        name: String(container.name),
        image: String(container.image),
        init,
        state: {
          is: 'waiting',
          reason: init || objectsAt(pod, 'spec', 'initContainers').length === 0 ? 'ContainerCreating' : 'PodInitializing',
        },
        last: null,
        ready: false,
        started: false,
        restarts: 0,
      });
    const containers = [
      ...objectsAt(pod, 'spec', 'initContainers').map(seen(true)),
      ...objectsAt(pod, 'spec', 'containers').map(seen(false)),
    ];
    this.view = { podIp, hostIp: options.hostIp, startedAt: now(), containers };
    this.tell();
    this.finished = this.runAll();
  }

  /** Ends the pod: containers are asked, then killed, then it is gone from the store. */
  async end(graceMs: number): Promise<void> {
    const first = !this.ending;
    this.ending = true;
    for (const timer of this.timers) clearTimeout(timer);
    if (first && this.running.size > 0) this.say('Normal', 'Killing', `Stopping container ${[...this.running.keys()].join(', ')}`);
    for (const running of this.running.values()) running.stop(graceMs);
    await Promise.all([...this.running.values()].map(({ exited }) => exited));
    await this.finished;
    await this.engine.forget(this.pod.metadata.uid);
  }

  /** The last word: the pod is gone once nothing holds it. */
  forget(): void {
    const resource = builtInKind('Pod');
    const found = this.world.store.get(resource, this.pod.metadata.namespace, this.pod.metadata.name);
    if (!found || found.metadata.uid !== this.pod.metadata.uid) return;
    found.metadata.deletionGracePeriodSeconds = 0;
    finishDeletion(this.world, resource, found);
  }

  private async runAll(): Promise<void> {
    const specs = (list: string) => objectsAt(this.pod, 'spec', list);
    for (const spec of specs('initContainers')) {
      const view = this.viewOf(spec, true);
      const ended = await this.runContainer(spec, view);
      if (this.ending || !ended || ended.code !== 0) return;
    }
    await Promise.all(specs('containers').map((spec) => this.runContainer(spec, this.viewOf(spec, false))));
  }

  private viewOf(spec: JsonObject, init: boolean): ContainerView {
    const found = this.view.containers.find((view) => view.init === init && view.name === spec.name);
    if (!found) throw new Error(`no container ${String(spec.name)}`);
    return found;
  }

  /** Runs a container again and again as the pod's restart policy says. The answer is its last end. */
  private async runContainer(spec: JsonObject, view: ContainerView): Promise<Exit | null> {
    const policy = textAt(this.pod, 'spec', 'restartPolicy') ?? 'Always';
    let crashes = 0;
    for (;;) {
      if (!(await this.pull(view))) return null;
      const since = Date.now();
      const exit = await this.runOnce(spec, view);
      if (!exit || this.ending) return exit;
      const again = view.init ? exit.code !== 0 && policy !== 'Never' : policy === 'Always' || (policy === 'OnFailure' && exit.code !== 0);
      if (!again) return exit;
      crashes = Date.now() - since > this.options.calmMs ? 0 : crashes + 1;
      if (!(await this.backOff(view, crashes))) return exit;
      view.restarts += 1;
    }
  }

  private async backOff(view: ContainerView, crashes: number): Promise<boolean> {
    if (crashes > 1) {
      view.last = view.state;
      const waitMs = Math.min(16, 2 ** (crashes - 2)) * this.options.backoffMs;
      const said = `back-off ${Math.max(10, Math.round(waitMs / 100))}s restarting failed container=${view.name} pod=${this.pod.metadata.name}_${this.pod.metadata.namespace}(${this.pod.metadata.uid})`;
      view.state = { is: 'waiting', reason: 'CrashLoopBackOff', message: said };
      this.tell();
      this.say(
        'Warning',
        'BackOff',
        `Back-off restarting failed container ${view.name} in pod ${this.pod.metadata.name}_${this.pod.metadata.namespace}(${this.pod.metadata.uid})`,
      );
      await this.wait(waitMs);
    } else view.last = view.state;
    return !this.ending;
  }

  /** Waits for an image until it can be had. */
  private async pull(view: ContainerView): Promise<boolean> {
    for (let turn = 0; ; turn += 1) {
      if (this.ending) return false;
      const fault = this.world.faults.meetPod(this.pod, ['image-pull']);
      if (!fault && this.engine.hasImage(view.image)) {
        if (turn === 0 && view.restarts === 0) await this.wait(this.options.pullMs);
        if (view.restarts === 0) this.say('Normal', 'Pulled', `Container image "${view.image}" already present on machine`);
        return !this.ending;
      }
      const why =
        fault?.message ??
        `failed to pull and unpack image "${view.image}": failed to resolve reference "${view.image}": ${view.image}: not found`;
      const failed = turn % 2 === 0;
      view.state = failed
        ? { is: 'waiting', reason: 'ErrImagePull', message: why }
        : { is: 'waiting', reason: 'ImagePullBackOff', message: `Back-off pulling image "${view.image}": ErrImagePull: ${why}` };
      this.tell();
      this.say(
        'Normal',
        failed ? 'Pulling' : 'BackOff',
        failed ? `Pulling image "${view.image}"` : `Back-off pulling image "${view.image}"`,
      );
      if (failed) {
        this.say('Warning', 'Failed', `Failed to pull image "${view.image}": ${why}`);
        this.say('Warning', 'Failed', 'Error: ErrImagePull');
      }
      await this.wait(this.options.backoffMs);
    }
  }

  private async runOnce(spec: JsonObject, view: ContainerView): Promise<Exit | null> {
    const log = new ContainerLog();
    this.logs.set(view.name, { present: log, previous: this.logs.get(view.name)?.present ?? null });
    const running = await this.begin(spec, view, log);
    if (!running) return null;
    const startedAt = now();
    this.running.set(view.name, running);
    if (this.ending) running.stop(0);
    view.state = { is: 'running', startedAt };
    view.started = view.init || !isObject(spec.startupProbe);
    this.tell();
    this.say('Normal', 'Created', `Created container: ${view.name}`);
    this.say('Normal', 'Started', `Started container ${view.name}`);
    const crash = view.init ? null : this.world.faults.meetPod(this.pod, ['crash-loop', 'oom-killed']);
    if (crash) {
      log.write(`${crash.message ?? 'the program ended at once'}\n`);
      running.stop(0);
    }
    const probes = new AbortController();
    if (!view.init && !crash) void this.watchReadiness(spec, view, running, probes.signal);
    const ended = await running.exited;
    probes.abort();
    const exit: Exit = crash
      ? { code: crash.kind === 'oom-killed' ? 137 : (crash.exitCode ?? 1), reason: crash.kind === 'oom-killed' ? 'OOMKilled' : 'Error' }
      : ended;
    log.end();
    this.running.delete(view.name);
    view.ready = view.init && exit.code === 0;
    view.started = false;
    view.state = { is: 'terminated', exitCode: exit.code, reason: exit.reason, startedAt, finishedAt: now() };
    this.tell();
    return exit;
  }

  /** Starts a container, or says again and again why it cannot be made. */
  private async begin(spec: JsonObject, view: ContainerView, log: ContainerLog): Promise<Running | null> {
    for (;;) {
      const fault = this.world.faults.meetPod(this.pod, ['create-container']);
      try {
        if (fault) throw new Error(`CreateContainerConfigError: ${fault.message ?? 'secret "missing" not found'}`);
        return await this.engine.start({
          pod: this.pod,
          container: spec,
          init: view.init,
          podIp: this.view.podIp,
          log: (text) => log.write(text),
        });
      } catch (error) {
        const [, reason = 'RunContainerError', message = ''] =
          /^(\w+): ([\s\S]*)$/.exec(error instanceof Error ? error.message : String(error)) ?? [];
        view.state = { is: 'waiting', reason, message };
        this.tell();
        this.say('Warning', 'Failed', `Error: ${message}`);
      }
      await this.wait(this.options.backoffMs);
      if (this.ending) return null;
    }
  }

  private async watchReadiness(spec: JsonObject, view: ContainerView, running: Running, signal: AbortSignal): Promise<void> {
    const fault = this.world.faults.meetPod(this.pod, ['slow-readiness', 'never-ready']);
    if (fault?.kind === 'never-ready') return;
    if (fault?.kind === 'slow-readiness') await this.wait(fault.delayMs ?? 2_000);
    if (isObject(spec.startupProbe) && !(await this.untilStarted(spec.startupProbe, view, running, signal))) return;
    const readiness = isObject(spec.readinessProbe) ? spec.readinessProbe : null;
    if (isObject(spec.livenessProbe)) void this.watchLife(spec.livenessProbe, view, running, signal);
    if (readiness === null || this.engine.probe(readiness, this.pod, this.view.podIp) === null) {
      if (readiness !== null) await this.wait(this.options.readyMs);
      else if (this.options.readyMs > 0 && this.engine.probe({}, this.pod, this.view.podIp) === null) await this.wait(this.options.readyMs);
      if (!signal.aborted) this.setReady(view, true);
      return;
    }
    await this.wait((numberAt(readiness, 'initialDelaySeconds') ?? 0) * 1000);
    let failures = 0;
    while (!signal.aborted) {
      const good = await this.engine.probe(readiness, this.pod, this.view.podIp);
      if (signal.aborted) return;
      failures = good ? 0 : failures + 1;
      if (good) this.setReady(view, true);
      else if (failures >= (numberAt(readiness, 'failureThreshold') ?? 3)) this.setReady(view, false);
      if (!good) this.say('Warning', 'Unhealthy', 'Readiness probe failed');
      // Until it is ready it is asked more often than a real kubelet asks: tests wait for it.
      await this.wait(view.ready ? periodMs(readiness) : Math.min(100, periodMs(readiness)));
    }
  }

  private async untilStarted(probe: JsonObject, view: ContainerView, running: Running, signal: AbortSignal): Promise<boolean> {
    const limit = (numberAt(probe, 'failureThreshold') ?? 3) * periodMs(probe);
    const since = Date.now();
    while (!signal.aborted) {
      const asked = this.engine.probe(probe, this.pod, this.view.podIp);
      if (asked === null || (await asked)) {
        view.started = true;
        this.tell();
        return true;
      }
      if (Date.now() - since > limit) {
        this.say('Normal', 'Killing', `Container ${view.name} failed startup probe, will be restarted`);
        running.stop(graceOf(this.pod));
        return false;
      }
      await this.wait(100);
    }
    return false;
  }

  private async watchLife(probe: JsonObject, view: ContainerView, running: Running, signal: AbortSignal): Promise<void> {
    let failures = 0;
    await this.wait((numberAt(probe, 'initialDelaySeconds') ?? 0) * 1000);
    while (!signal.aborted) {
      const asked = this.engine.probe(probe, this.pod, this.view.podIp);
      if (asked === null) return;
      failures = (await asked) ? 0 : failures + 1;
      if (signal.aborted) return;
      if (failures > 0) this.say('Warning', 'Unhealthy', 'Liveness probe failed');
      if (failures >= (numberAt(probe, 'failureThreshold') ?? 3)) {
        this.say('Normal', 'Killing', `Container ${view.name} failed liveness probe, will be restarted`);
        running.stop(graceOf(this.pod));
        return;
      }
      await this.wait(periodMs(probe));
    }
  }

  private setReady(view: ContainerView, ready: boolean): void {
    if (view.ready === ready || this.ending) return;
    view.ready = ready;
    view.started = true;
    this.tell();
  }

  private tell(): void {
    const found = this.world.store.get(builtInKind('Pod'), this.pod.metadata.namespace, this.pod.metadata.name);
    if (found && found.metadata.uid === this.pod.metadata.uid) writeStatus(this.world, found, podStatus(found, this.view), 'kubelet');
  }

  private say(type: 'Normal' | 'Warning', reason: string, message: string): void {
    tellEvent(this.world, this.pod, type, reason, message, 'kubelet');
  }

  private async wait(ms: number): Promise<void> {
    if (ms <= 0 || this.ending) return;
    await new Promise<void>((resolve) => {
      const until = Date.now() + ms;
      // Short naps: an ending pod waits for nothing.
      const nap = () => {
        if (this.ending || Date.now() >= until) return resolve();
        setTimeout(nap, Math.max(1, Math.min(50, until - Date.now())));
      };
      nap();
    });
  }
}

const periodMs = (probe: JsonObject) => (numberAt(probe, 'periodSeconds') ?? 10) * 1000;
const graceOf = (pod: KubeObject) => (numberAt(pod, 'spec', 'terminationGracePeriodSeconds') ?? 30) * 1000;
