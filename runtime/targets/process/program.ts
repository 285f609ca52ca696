import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fail, type LogicalAddress } from '../../../compiler/contracts/index.ts';
import { commandLine, type MemberProgram, programEnvironment } from '../../../compiler/plan/program-environment.ts';
import { gpuEnvironment, type HeldGpus, holdGpus } from '../supervise/gpus.ts';
import type { Launch, RunningReplica } from '../supervise/host.ts';
import { waitProgramReady } from '../supervise/ready.ts';
import { type Child, startChild } from './child.ts';
import { freePort } from './junction.ts';
import type { Lease } from './lease.ts';

const loopback = '127.0.0.1';

interface Place {
  readonly deploymentId: string;
  /** Folder of the scenario. */
  readonly sourceFolder: string;
  readonly lease: Lease;
  /** A lasting `host:port` for a neighbour or model. */
  readonly at: (address: LogicalAddress) => Promise<string>;
}

/** Starts one replica of something that somebody else built. It takes calls once `ready` has resolved. */
export async function launchProgram(launch: Launch, program: MemberProgram, place: Place): Promise<{ child: Child } & ProgramFacts> {
  const { member } = launch;
  const { planned } = program;
  const folder = resolve(place.sourceFolder, planned.folder);
  const [file = ''] = planned.command ?? [];
  const executable = findExecutable(file, folder, planned.environment.PATH ?? process.env.PATH ?? '', program.component);
  const gpus = await holdGpus(planned.gpus ?? 0, member.id);
  // Whatever fails before there is a process to wait for gives them back.
  return startProgram(launch, program, place, executable, gpus).catch((error: unknown) => {
    gpus.release();
    throw error;
  });
}

async function startProgram(
  launch: Launch,
  program: MemberProgram,
  place: Place,
  executable: string,
  gpus: HeldGpus,
): Promise<{ child: Child } & ProgramFacts> {
  const { member, instanceId, log, binding, secrets } = launch;
  const { planned } = program;
  const folder = resolve(place.sourceFolder, planned.folder);
  const rest = planned.command?.slice(1) ?? [];
  const told = [
    ...Object.values(planned.neighbours).map(({ address }) => address),
    ...Object.values(program.models).map(({ address }) => address),
  ];
  const lasting = new Map<LogicalAddress, string>();
  for (const address of told) if (!/^https?:/.test(address)) lasting.set(address, await place.at(address));
  const port = await freePort(loopback);
  const command = [executable, ...commandLine(rest, port)];
  const child = startChild({
    run: { command: planned.stdio === undefined ? command : bridged(command, planned.portVariable, planned.stdio.revision) },
    name: instanceId,
    cwd: folder,
    environment: {
      ...gpuEnvironment(gpus.ids),
      ...programEnvironment({
        program,
        unit: member.id,
        replica: member.replica,
        instanceId,
        deploymentId: place.deploymentId,
        otlpEndpoints: binding.otlpEndpoints,
        port,
        at: (address) => lasting.get(address) ?? '',
        secrets,
      }),
    },
    lease: place.lease,
    onOutput: (line) => log.write(line),
    onError: (line) => log.write(line),
  });
  void child.exited.then(gpus.release);
  const at = { host: loopback, port };
  return {
    child,
    gpus: gpus.ids,
    control: null,
    listen: Object.fromEntries(member.listens.map(({ address }) => [address, at])),
    ready: (signal) => waitProgramReady(at, planned.ready?.path, signal),
  };
}

/** The bridge before a server that speaks on its standard streams. From the sources it needs their loader. */
function bridged(command: readonly string[], portVariable: string, revision: string): string[] {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  const bridge = fileURLToPath(new URL(`../../protocols/mcp/bridge-main${extension}`, import.meta.url));
  const loader = extension === '.ts' ? ['--import', import.meta.resolve('tsx')] : [];
  return [process.execPath, ...loader, bridge, '--port-variable', portVariable, '--revision', revision, '--', ...command];
}

type ProgramFacts = Pick<RunningReplica, 'control' | 'listen' | 'ready' | 'gpus'>;

/**
 * The file a command means: with a slash relative to its folder, else found in PATH.
 * @throws DmasError DMAS_ENV_COMMAND
 */
export function findExecutable(file: string, folder: string, path: string, component: string): string {
  const where = `agents.${component}`;
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    fail('DMAS_ENV_COMMAND', `${where}: there is no folder ${folder} to run the command in.`, { fix: `Correct ${where}.folder.` });
  const asPath = isAbsolute(file) || file.includes('/');
  const candidates = asPath ? [resolve(folder, file)] : path.split(delimiter).map((entry) => join(entry, file));
  const found = candidates.find(canRun);
  if (found !== undefined) return found;
  const exists = candidates.find((candidate) => statSync(candidate, { throwIfNoEntry: false })?.isFile());
  if (exists !== undefined)
    fail('DMAS_ENV_COMMAND', `${where}: ${file} may not be executed.`, { fix: `chmod +x ${exists}, or name its interpreter first.` });
  fail('DMAS_ENV_COMMAND', `${where}: ${file}: not found.`, {
    fix: asPath
      ? `Create ${candidates[0]}, or correct ${where}.command.`
      : `Install ${file} or put it into PATH, or correct ${where}.command.`,
  });
}

function canRun(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
