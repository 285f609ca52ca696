import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Configuration, LlmTraits, ProtocolTraits, StateTraits, Workflow } from '../../compiler/contracts/index.ts';
import type { ReadResult } from '../../compiler/frontends/frontend.ts';
import { readWorkflow } from '../../compiler/frontends/read-workflow.ts';
import { typescript } from '../../compiler/frontends/typescript.ts';
import type { PlanRequest } from '../../compiler/plan/request.ts';
import { type ScenarioConfig, scenarioSchema } from '../../scenarios/schema.ts';

export const newsroomFolder = join(import.meta.dirname, '../fixtures/workflows/newsroom');

export async function newsroom(): Promise<Workflow> {
  const result = await readWorkflow({ specifier: './workflow.ts', folder: newsroomFolder, frontends: [typescript], boundModels: ['main'] });
  if (result.workflow === undefined) throw new Error(JSON.stringify(result.problems));
  return result.workflow;
}

/** Reads a workflow from source texts in a folder of its own, which is gone afterwards. */
export async function readTexts(files: { readonly [name: string]: string }, specifier = './workflow.ts'): Promise<ReadResult> {
  const folder = await mkdtemp(join(tmpdir(), 'dmas-opt-test-'));
  try {
    await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text)));
    return await readWorkflow({ specifier, folder, frontends: [typescript], boundModels: ['main'] });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export const scenario = (given: object = {}): ScenarioConfig =>
  scenarioSchema.parse({ workflow: './workflow.ts', models: { main: { backend: 'simulated' } }, ...given });

const protocol: ProtocolTraits = { crossHost: true, inProcess: false, mediator: null, peer: null, searchable: {} };
export const protocolTraits: Record<string, ProtocolTraits> = {
  'http-json': protocol,
  grpc: protocol,
  inproc: { ...protocol, crossHost: false, inProcess: true },
  nats: { ...protocol, mediator: 'broker' },
};
export const llmTraits: Record<string, LlmTraits> = {
  simulated: { deployed: true, provenance: 'simulated', wholePool: true },
  'openai-compatible': { deployed: false, provenance: 'measured' },
};
export const stateTraits: Record<string, StateTraits> = {
  memory: { survivesReplica: false, survivesDeployment: false, multiProcess: false },
  file: { survivesReplica: true, survivesDeployment: true, multiProcess: true },
};

export function planRequest(workflow: Workflow, configuration: Configuration, given: object = {}): PlanRequest {
  return {
    workflow,
    configuration,
    target: 'process',
    targetTraits: { enforces: { vcpu: false, memory: false }, unixSockets: true },
    scenario: scenario(given),
    name: 'newsroom',
    protocolTraits,
    protocolDefaults: { 'http-json': { transport: 'tcp' } },
    llmTraits,
    stateTraits,
  };
}
