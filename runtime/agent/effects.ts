import { join } from 'node:path';
import type { ProcessBinding } from '../../compiler/contracts/binding.ts';
import { CallError, toCallError } from '../../compiler/contracts/call-errors.ts';
import {
  cassetteSuffix,
  type EffectMode,
  type EffectPolicy,
  type Json,
  type JsonSchema,
  type Peers,
} from '../../compiler/contracts/index.ts';
import { lookupIn } from '../llm/server/facts.ts';
import { valueFor } from '../llm/server/schema-values.ts';
import type { ServedTool } from '../protocols/protocol.ts';
import { valueKeys } from '../replay/keys.ts';
import { createRecorder, type Recorder } from '../replay/recorder.ts';
import { createScrubber, type Scrub, secretVariables } from '../replay/scrub.ts';
import { createTapeClient, type TapeClient } from '../replay/tape-client.ts';
import type { Delivery } from './delivery.ts';

/** A call as it is recorded and looked up. */
interface Asked {
  readonly caller: string | undefined;
  readonly conversation: string;
  readonly input: unknown;
}

/** The ways in which a tool of ours can be answered. */
interface ToolAnswers {
  readonly live: () => Promise<unknown>;
  readonly stub: () => Promise<unknown>;
  /** Told before an answer that is not live. */
  readonly answered: (mode: EffectMode) => void;
}

/**
 * The gate before everything that may change the world: decides by the deployment's policy whether a call runs, comes from
 * the tape, is stubbed or refused; records what runs while a recording is made.
 */
export class Effects {
  readonly #policy: EffectPolicy | undefined;
  readonly #stubbed: ReadonlySet<string>;
  readonly #tape: TapeClient | undefined;
  readonly #recorder: Recorder | undefined;
  readonly #scrub: Scrub;

  constructor(binding: ProcessBinding) {
    const { effects, stubbedTools = [] } = binding;
    this.#policy = effects;
    this.#stubbed = new Set(stubbedTools);
    this.#scrub = createScrubber(effects === undefined ? {} : secretVariables(process.env));
    const usesTape = effects !== undefined && Object.values(effects.modes).includes('tape');
    this.#tape = usesTape ? createTapeClient() : undefined;
    const file = join(binding.stateDir, `${binding.instanceId.replace(/[^\w.-]/g, '_')}${cassetteSuffix}`);
    this.#recorder = effects?.record === undefined ? undefined : createRecorder(file, effects.record, this.#scrub);
    if (this.#tape !== undefined) this.#tape.update(binding.peers);
  }

  update(peers: Peers): void {
    this.#tape?.update(peers);
  }

  missing(): readonly string[] {
    return this.#tape?.missing() ?? [];
  }

  /** Runs or answers a tool whose code is in this process. @throws CallError, and what the tool throws */
  async tool({ tool, ...asked }: Asked & { readonly tool: string }, answers: ToolAnswers): Promise<unknown> {
    const mode = this.#policy?.modes[tool] ?? (this.#stubbed.has(tool) ? 'stub' : 'live');
    if (mode === 'blocked') throw blocked(tool);
    if (mode === 'live') return this.#recorded('tool', tool, asked, answers.live);
    answers.answered(mode);
    return mode === 'stub' ? answers.stub() : this.#fromTape('tool', tool, asked);
  }

  /** How a tool of a server that is not ours is answered; of one nobody knew before, its server's word is all there is. */
  modeOfForeign(server: string, { name, effect }: ServedTool): EffectMode {
    if (this.#policy === undefined) return this.#stubbed.has(name) ? 'stub' : 'live';
    return this.#policy.modes[name] ?? this.#policy.modes[server] ?? this.#policy.discovered[effect];
  }

  /**
   * What answers a message that leaves this process instead of its receiver; undefined when it goes its way. A tool on a
   * server of ours is judged where it runs, so that its hop is still there to be measured.
   */
  instead(delivery: Delivery): (() => Promise<unknown>) | undefined {
    if (this.#policy === undefined || !this.#policy.outside.includes(delivery.to)) return undefined;
    const mode = this.#modeOf(this.#policy, delivery);
    const { kind, name, asked } = nameOf(delivery);
    switch (mode) {
      case 'live':
        return undefined;
      case 'blocked':
        return () => Promise.reject(blocked(name));
      case 'tape':
        return () => delivery.scope.cancellation.race(this.#fromTape(kind, name, asked));
      case 'stub':
        return () => Promise.resolve(this.#stub(name, delivery.body));
    }
  }

  /** Sends a message that goes its way, and writes it down when its receiver is outside our bundles. */
  send(delivery: Delivery, send: () => Promise<unknown>): Promise<unknown> {
    if (this.#recorder === undefined || !this.#policy?.outside.includes(delivery.to)) return send();
    const { kind, name, asked } = nameOf(delivery);
    return this.#recorded(kind, name, asked, send);
  }

  #modeOf({ modes, discovered }: EffectPolicy, { to, tool, effect }: Delivery): EffectMode {
    if (tool === undefined) return modes[to] ?? 'live';
    return modes[tool] ?? modes[to] ?? discovered[effect ?? 'sideEffect'];
  }

  /** Runs a tool or agent and writes it down while a recording is made; `kind` and `name` are what it is found by. */
  async #recorded(kind: 'tool' | 'agent', name: string, asked: Asked, run: () => Promise<unknown>): Promise<unknown> {
    const recorder = this.#recorder;
    if (recorder === undefined) return run();
    const atMs = Date.now();
    const startMs = performance.now();
    const value = await run();
    const totalMs = performance.now() - startMs;
    const text = JSON.stringify(value ?? null);
    const request = (asked.input ?? null) as Json;
    recorder.value(kind, {
      target: name,
      caller: asked.caller,
      conversation: asked.conversation,
      atMs,
      request,
      requestBytes: Buffer.byteLength(JSON.stringify(request)),
      reply: { value: JSON.parse(text) as Json },
      replyBytes: Buffer.byteLength(text),
      timing: { firstMs: totalMs, totalMs },
    });
    return value;
  }

  async #fromTape(kind: 'tool' | 'agent', name: string, { caller, conversation, input }: Asked): Promise<unknown> {
    const startMs = performance.now();
    const rules = { scrub: this.#scrub, ignore: this.#policy?.ignore ?? [], nowMs: Date.now() };
    const keys = valueKeys(kind, name, (input ?? null) as Json, rules);
    const drawn = await this.#tape?.draw({ kind, target: name, keys, caller, conversation }).catch((error: unknown) => {
      throw toCallError(error, name);
    });
    const content = drawn?.found === 'hit' ? (drawn.reply.content as { readonly value: unknown } | undefined) : undefined;
    if (drawn?.found !== 'hit' || content === undefined) {
      throw new CallError({
        code: 'failed',
        message: `the cassette holds no reply of ${name} to this call of ${caller ?? 'nobody'}`,
        component: name,
      });
    }
    const leftMs = startMs + drawn.timing.totalMs - performance.now();
    if (leftMs > 1) await new Promise((resolve) => setTimeout(resolve, leftMs));
    return content.value;
  }

  #stub(name: string, input: unknown): unknown {
    const text = JSON.stringify(input ?? null);
    const schema = (this.#policy?.outputs?.[name] ?? {}) as JsonSchema;
    return valueFor(schema, { known: lookupIn([text]), text: name, seed: `${name} ${text}` });
  }

  async close(): Promise<void> {
    this.#tape?.close();
    await this.#recorder?.close();
  }
}

/** What a message is recorded and found as. */
function nameOf({ to, tool, from, scope, body }: Delivery): { kind: 'tool' | 'agent'; name: string; asked: Asked } {
  const asked: Asked = { caller: from, conversation: scope.requestId, input: body };
  return tool === undefined ? { kind: 'agent', name: to, asked } : { kind: 'tool', name: tool, asked };
}

const blocked = (name: string) =>
  new CallError({
    code: 'failed',
    message: `${name} is blocked: it may change the world, and this run must not (workload.allowSideEffects allows it by name)`,
    component: name,
    neverStarted: true,
  });
