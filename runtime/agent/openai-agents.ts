import { z } from 'zod';
import { type AgentRef, brand } from '../../compiler/api/definitions.ts';
import { agent } from '../../compiler/api/index.ts';
import { CallError } from '../../compiler/contracts/call-errors.ts';
import { isModel, type Sdk, type SdkAgent, type SdkResult } from '../../compiler/frontends/openai-agents/sdk.ts';
import type { AgentTurn } from './agent-turn.ts';
import { isRecord } from './graph-shape.ts';
import { type SdkApplication, takeOver } from './openai/application.ts';
import { watchedFunction } from './openai/functions.ts';
import { lastText } from './openai/items.ts';
import { modelProvider, type PassedBack, type PassedOn, plainJson, watchedModel } from './openai/models.ts';
import { defaultMaxTurns, openTurn, type SdkTurn } from './openai/turn.ts';
import type { FrameworkAgent } from './program.ts';
import type { Runtime } from './runtime.ts';

const contractOf = (name: string): AgentRef => agent(name, { input: z.unknown(), output: z.unknown(), chunk: z.string() });

/**
 * One agent of an OpenAI Agents SDK application. Its own loop runs here, in a runner of the user's copy of the SDK; the
 * agents it hands the conversation to, or uses as tools, are called, in this process or another.
 *
 * As the entry it takes a text, a list of the SDK's items, or `{ input, context }`, and answers `{ output, agent }`: the
 * final output, and the component that gave it.
 */
export async function openaiAgent(name: string, entry: SdkAgent, sdk: Sdk): Promise<FrameworkAgent> {
  const application = await takeOver(entry, sdk);
  const facts = application.agents.find((each) => each.name === name);
  if (facts === undefined) throw new TypeError(`the application has no agent for ${name}`);
  const nameOf = (other: SdkAgent) => application.agents.find(({ agent: each }) => each === other)?.name ?? '';
  const callees = [...facts.handoffs, ...facts.agentTools.map((each) => each.agent)].map(nameOf);
  return {
    [brand]: 'framework-agent',
    ref: contractOf(name),
    options: { calls: [...new Set(callees)].map(contractOf) },
    handler: (runtime) => (input, turn) => runAgent(name, application, sdk, input, turn, runtime()),
  };
}

async function runAgent(
  name: string,
  application: SdkApplication,
  sdk: Sdk,
  body: unknown,
  turn: AgentTurn,
  runtime: Runtime,
): Promise<unknown> {
  const passed = passedOn(body);
  const { input, context, maxTurns = defaultMaxTurns, passing } = passed ?? entered(body);
  const own = openTurn(name, runtime, turn, context, maxTurns);
  const real = application.agentFor(name, {
    functions: (tool, sdkTool) => watchedFunction(own, tool, sdkTool),
    handedOver: passing === 'handoff',
  });
  if (isModel(real.model)) real.model = watchedModel(own, real.model, `${name}-own`);
  const runner = new sdk.Runner({ modelProvider: modelProvider(own, sdk), tracingDisabled: true });
  const options = { context, maxTurns, signal: turn.scope.cancellation.signal };
  try {
    let result = await runner.run(real, input, options);
    while ((result.interruptions?.length ?? 0) > 0) {
      await decide(result, turn);
      result = await runner.run(real, result.state, options);
    }
    if (own.ended !== undefined) throw own.ended;
    const back = backOf(name, result, own);
    return passed === undefined ? { output: back.output, agent: back.agent } : back;
  } catch (error) {
    const { cancellation } = turn.scope;
    throw own.ended ?? (cancellation.aborted ? cancellation.error() : error);
  }
}

/** Calls that need an approval are put to a person, one after the other; an answer `{ "approve": true }` lets a call through. */
async function decide({ interruptions = [], state }: SdkResult, turn: AgentTurn): Promise<void> {
  for (const interruption of interruptions) {
    const { name, arguments: given = '' } = interruption.rawItem ?? {};
    const answer = await turn.pause({ approve: { tool: name ?? 'a tool', arguments: parsed(given) } });
    if (answer === true || (isRecord(answer) && answer.approve === true)) state.approve(interruption);
    else state.reject(interruption);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function backOf(name: string, result: SdkResult, turn: SdkTurn): PassedBack {
  if (turn.taken !== undefined) return turn.taken;
  const output = plainJson(result.finalOutput);
  const said = lastText(result.rawResponses.at(-1)?.output ?? []);
  return { output, agent: name, text: said !== '' ? said : typeof output === 'string' ? output : JSON.stringify(output) };
}

function passedOn(body: unknown): PassedOn | undefined {
  if (!isRecord(body) || (body.passing !== 'handoff' && body.passing !== 'tool')) return undefined;
  // A turn may change its context and its history; messages of this process are shared.
  return { ...(body as unknown as PassedOn), input: plainJson(body.input), context: plainJson(body.context) ?? {} };
}

function entered(body: unknown): { input: unknown; context: unknown; maxTurns?: number; passing?: undefined } {
  const whole = isRecord(body) ? body : { input: body };
  const { input, context } = whole;
  if (typeof input !== 'string' && !Array.isArray(input)) {
    throw new CallError({ code: 'invalid', message: 'the input is a text, a list of items, or { "input": …, "context": … }' });
  }
  return { input: plainJson(input), context: plainJson(context) ?? {} };
}
