import { setTimeout as sleep } from 'node:timers/promises';
import { DmasError, fail, type Incident, type Plan, type StageContext } from '../../../compiler/contracts/index.ts';
import type { DeployRequest } from '../target.ts';
import { DeadlineExceeded, deadline } from './deadline.ts';
import { failOnDisk } from './disk.ts';
import { type Exit, exitText, type ReplicaHost, type RunningReplica } from './host.ts';
import { type Member, memberName } from './members.ts';
import { restartLimitText } from './restart-policy.ts';
import { addUsage, type Slot } from './slot.ts';
import type { Worlds } from './worlds.ts';

export interface SuperviseSettings {
  /** Bound of every queue of a unit. */
  readonly queueLimit: number;
  readonly drainMs: number;
}

/** A restart that fails this often on the port users know takes another one. */
const samePortAttempts = 2;
/** Between attempts to take over a port from a replica that is draining. */
const takeoverPauseMs = 50;

/** Starts replicas, watches them, and brings back those that end unasked, telling everybody where they are now. */
export class Supervisor {
  /** Aborted when the deployment is torn down: nothing starts after that. */
  readonly stopping = new AbortController();
  readonly launching = new Set<Promise<unknown>>();
  readonly incidents: Incident[] = [];
  /** Called for each replica that ended unasked. */
  readonly crashed = new Set<(slot: Slot, detail: string) => void>();
  /** What replicas that start from now on are told; those that run are told by the deployment. */
  samplingRatio: number;
  /** Values of secrets, by name; a new plan may bring more. */
  environment: DeployRequest['environment'];
  readonly #request: DeployRequest;
  readonly #context: StageContext;
  readonly #host: ReplicaHost;
  readonly #settings: SuperviseSettings;
  readonly #worlds: Worlds;
  #instances = 0;

  constructor(request: DeployRequest, context: StageContext, host: ReplicaHost, settings: SuperviseSettings, worlds: Worlds) {
    this.#request = request;
    this.#context = context;
    this.#host = host;
    this.#settings = settings;
    this.#worlds = worlds;
    this.samplingRatio = request.samplingRatio;
    this.environment = request.environment;
  }

  /** Launches all, then gives all their peers, then waits until all are ready and puts them under supervision. */
  async bringUp(slots: readonly Slot[], signal: AbortSignal): Promise<void> {
    await Promise.all(slots.map((slot) => this.orFail(slot, signal, () => this.#launch(slot, this.wishedPort(slot), signal))));
    this.#host.moved?.(this.#worlds.places());
    await Promise.all(slots.map((slot) => this.orFail(slot, signal, () => slot.becomeReady(this.#worlds.peersFor(slot), signal))));
    for (const slot of slots) {
      if (!slot.running) fail('DMAS_DEPLOY_FAILED', `${memberName(slot.member)} ended as soon as it was ready.${logTail(slot)}`);
      slot.supervised = true;
    }
  }

  /** Makes what the members of a plan share. Anything but a `DmasError` becomes one. */
  async prepare(next: Pick<DeployRequest, 'plan' | 'bundles'>, context: StageContext, signal: AbortSignal): Promise<void> {
    try {
      await this.#host.prepare?.(next, signal);
    } catch (error) {
      if (context.signal.aborted) throw interrupted(error);
      failOnDisk(error);
      if (error instanceof DmasError) throw error;
      const reason = signal.aborted ? signal.reason : error;
      const late = reason instanceof DeadlineExceeded ? `took longer than ${this.#request.readyTimeoutMs} ms` : null;
      fail('DMAS_DEPLOY_FAILED', `Preparing what the plan needs ${late ?? `failed: ${errorText(reason)}`}.`, { cause: error });
    }
  }

  /** Only members of `plan` run now: lets go of what served the one before alone. */
  async settle(plan: Plan): Promise<void> {
    await this.#host.settle?.(plan);
  }

  async #launch(slot: Slot, publicPort: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { member, log } = slot;
    this.#instances += 1;
    const instanceId = `${member.id}.${member.replica}.${this.#instances}`;
    const { drainMs, queueLimit } = this.#settings;
    const binding = {
      deploymentId: this.#request.deploymentId,
      id: member.id,
      replica: member.replica,
      instanceId,
      peers: this.#worlds.peersFor(slot),
      otlpEndpoints: this.#request.otlpEndpoints,
      samplingRatio: this.samplingRatio,
      queueLimit,
      drainMs,
      ...(this.#request.stubbedTools === undefined ? {} : { stubbedTools: this.#request.stubbedTools }),
      ...(this.#request.effects === undefined ? {} : { effects: this.#request.effects }),
    };
    const launched = this.#host.launch({ member, instanceId, publicPort, binding, secrets: this.#secretsOf(member), log }, signal);
    this.launching.add(launched);
    try {
      const running = await launched;
      slot.running = running;
      slot.publicAt = running.publicAt;
      void running.exited.then((exit) => this.#ended(slot, running, exit));
    } finally {
      this.launching.delete(launched);
    }
  }

  wishedPort({ member }: Slot): number {
    return member.publicAddress && this.#request.ingressPort > 0 ? this.#request.ingressPort + member.replica : 0;
  }

  async orFail(slot: Slot, signal: AbortSignal, step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (error instanceof DmasError) throw error;
      if (this.#context.signal.aborted) throw interrupted(error);
      failOnDisk(error);
      const reason = signal.aborted ? signal.reason : error;
      const what = reason instanceof DeadlineExceeded ? `was not ready within ${this.#request.readyTimeoutMs} ms` : errorText(reason);
      fail('DMAS_DEPLOY_FAILED', `${memberName(slot.member)} did not start: ${what}.${logTail(slot)}`, {
        cause: error,
        fix: `See ${slot.log.file}.`,
      });
    }
  }

  /** Launches as soon as the port it wishes is free. */
  async launchUntil(slot: Slot, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        return await this.#launch(slot, this.wishedPort(slot), signal);
      } catch (error) {
        if (signal.aborted) throw error;
        await sleep(takeoverPauseMs, undefined, { signal });
      }
    }
  }

  async #ended(slot: Slot, running: RunningReplica, exit: Exit): Promise<void> {
    const last = await running.usage();
    slot.running = null;
    slot.spent = addUsage(slot.spent, last);
    if (slot.supervised && !slot.gone.signal.aborted && !this.stopping.signal.aborted) await this.recover(slot, exit);
  }

  async recover(slot: Slot, exit: Exit): Promise<void> {
    if (!slot.killed) {
      const detail = `${exitText(exit)}${lastLine(slot)}`;
      this.incident(slot, 'crashed', detail);
      for (const told of this.crashed) told(slot, detail);
    }
    slot.killed = false;
    slot.supervised = false;
    void this.pushPeers();
    const over = () => slot.gone.signal.aborted || this.stopping.signal.aborted;
    for (let attempt = 1; !over(); attempt += 1) {
      const waitMs = slot.restartPolicy.next(Date.now());
      if (waitMs === null) return this.incident(slot, 'unhealthy', `given up after ${restartLimitText}${lastLine(slot)}`);
      const until = deadline(this.#request.readyTimeoutMs + waitMs, slot.gone.signal, this.stopping.signal);
      try {
        await sleep(waitMs, undefined, { signal: until.signal });
        await this.#restart(slot, attempt, until.signal);
        return;
      } catch (error) {
        if (over()) return;
        this.incident(slot, 'crashed', `did not come back: ${errorText(error)}${lastLine(slot)}`);
        await slot.running?.kill();
      } finally {
        until.clear();
      }
    }
  }

  async #restart(slot: Slot, attempt: number, signal: AbortSignal): Promise<void> {
    const samplingRatio = this.samplingRatio;
    const known = slot.publicAt && 'port' in slot.publicAt && attempt <= samePortAttempts ? slot.publicAt.port : 0;
    await this.#launch(slot, this.wishedPort(slot) || known, signal);
    await slot.becomeReady(this.#worlds.peersFor(slot), signal);
    if (!slot.running) throw new Error('ended as soon as it was ready');
    slot.supervised = true;
    slot.restarts += 1;
    if (samplingRatio !== this.samplingRatio) await slot.tell('PUT', '/sampling', { ratio: this.samplingRatio });
    await this.pushPeers();
    this.incident(slot, 'restarted', `instance ${slot.running?.instanceId ?? 'gone again'}`);
  }

  /** Tells everybody where everybody is now; of those to be told alone, whoever `wanted` picks. */
  async pushPeers(wanted: (slot: Slot) => boolean = () => true): Promise<void> {
    this.#host.moved?.(this.#worlds.places());
    await Promise.all(
      this.#worlds.everyone().map(async (slot) => {
        if (!wanted(slot)) return;
        if (!(await slot.pushPeers(() => this.#worlds.peersFor(slot)))) this.incident(slot, 'unhealthy', 'does not take its new peers');
      }),
    );
  }

  incident(slot: Slot, what: Incident['what'], detail: string): void {
    this.incidents.push({ atMs: this.#context.now(), unit: slot.member.id, replica: slot.member.replica, what, detail });
  }

  #secretsOf(member: Member): { readonly [name: string]: string } {
    const { environment } = this;
    return Object.fromEntries(member.secrets.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]]])));
  }
}

const errorText = (error: unknown): string => (error instanceof Error ? error.message : String(error));
export const interrupted = (cause: unknown): DmasError =>
  new DmasError({ code: 'DMAS_INTERRUPTED', severity: 'error', message: 'The deployment was interrupted.' }, { cause });

function logTail(slot: Slot): string {
  const tail = slot.log.tail();
  return tail ? ` Its log ends with:\n${tail}` : ' Its log is empty.';
}

function lastLine(slot: Slot): string {
  const line = slot.log.tail().split('\n').at(-1);
  return line ? `: ${line}` : '';
}
