import { basename } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import type Docker from 'dockerode';
import type { BindAddress, LogicalAddress, ProcessBinding } from '../../../compiler/contracts/index.ts';
import { holdGpus } from '../supervise/gpus.ts';
import type { Exit, Launch, ReplicaUsage } from '../supervise/host.ts';
import { passLines } from '../supervise/log.ts';
import { waitProgramReady } from '../supervise/ready.ts';
import { stateInContainer } from './app-image.ts';
import {
  aliasesOf,
  bindingInContainer,
  callersOf,
  containerOptions,
  controlPort,
  endpointOf,
  foreignOptions,
  givenFolder,
  type Placement,
  portsOf,
} from './options.ts';
import { tar } from './tar.ts';
import { usageOf } from './usage.ts';

const anyInterface = '0.0.0.0';

/** One container that has been started, before anything is known of what runs in it. */
interface Started {
  /** Resolves once it has ended and is removed. */
  readonly exited: Promise<Exit>;
  readonly control: BindAddress | null;
  ready?(signal: AbortSignal): Promise<void>;
  readonly publicAt: BindAddress | null;
  readonly metricsAt?: BindAddress | undefined;
  readonly gpus?: readonly string[];
  readonly listen: { readonly [address: LogicalAddress]: BindAddress };
  usage(): Promise<ReplicaUsage>;
  signal(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

/** @param reachedAt name or address of the engine's machine, as this machine reaches published ports */
export async function startContainer(
  docker: Docker,
  launch: Launch,
  placement: Placement,
  reachedAt: string,
  onOutput: (line: string) => void,
): Promise<Started> {
  const { member, log } = launch;
  const ports = portsOf(launch);
  const [alias = ''] = aliasesOf(launch);
  const { program } = member;
  const options = containerOptions(launch, placement, ports);
  const gpus = await holdGpus(program?.planned.gpus ?? 0, member.id);
  const container = await docker
    .createContainer(program === null ? options : foreignOptions(options, launch, program, placement, ports, gpus.ids))
    .catch((error: unknown) => {
      gpus.release();
      throw error;
    });
  const remove = async () => {
    await container.remove({ force: true, v: true }).catch(() => {});
    gpus.release();
  };
  try {
    // Only the newest engines take more than one network at creation.
    for (const attachment of placement.attachments.slice(1))
      await docker.getNetwork(attachment.network).connect({ Container: container.id, EndpointConfig: endpointOf(attachment, launch) });
    if (program === null) await container.putArchive(Readable.from(tar(filesOf(launch, placement, ports))), { path: givenFolder });
    const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
    const printed = passOutput(docker, stream, onOutput, (line) => log.write(line));
    await container.start();
    const exited = endOf(container, printed, remove);
    const published = (await container.inspect()).NetworkSettings.Ports;
    const outside = (port: number): BindAddress => ({ host: reachedAt, port: Number(published[`${port}/tcp`]?.[0]?.HostPort ?? 0) });
    const [foreignPort = 0] = ports.values();
    const taken = outside(foreignPort);
    const publicPort = member.publicAddress ? ports.get(member.publicAddress) : undefined;
    const metricsPort = member.metricsAddress ? ports.get(member.metricsAddress) : undefined;
    return {
      exited,
      control: program === null ? outside(controlPort) : null,
      ...(program !== null && 'port' in taken
        ? { ready: (signal: AbortSignal) => waitProgramReady(taken, program.planned.ready?.path, signal) }
        : {}),
      publicAt: publicPort === undefined ? null : outside(publicPort),
      metricsAt: metricsPort === undefined ? undefined : outside(metricsPort),
      gpus: gpus.ids,
      listen: Object.fromEntries([...ports].map(([address, port]) => [address, { host: alias, port }])),
      usage: usageOf(container),
      // It may have ended already.
      signal: (signal) => container.kill({ signal }).catch(() => {}),
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

function filesOf(launch: Launch, { otlpEndpoints }: Placement, ports: ReadonlyMap<LogicalAddress, number>) {
  const binding: ProcessBinding = {
    ...launch.binding,
    otlpEndpoints,
    control: { host: anyInterface, port: controlPort },
    listen: Object.fromEntries([...ports].map(([address, port]) => [address, { host: anyInterface, port }])),
    stateDir: stateInContainer,
    ...callersOf(launch),
  };
  return [{ path: basename(bindingInContainer), content: Buffer.from(JSON.stringify(binding)), mode: 0o444 }];
}

/** Resolves when everything printed has been passed on. */
function passOutput(
  docker: Docker,
  stream: NodeJS.ReadWriteStream,
  onOutput: (line: string) => void,
  onError: (line: string) => void,
): Promise<void> {
  const [output, errors] = [new PassThrough(), new PassThrough()];
  passLines(output, onOutput);
  passLines(errors, onError);
  docker.modem.demuxStream(stream, output, errors);
  return new Promise((resolve) => {
    const end = () => {
      output.end();
      errors.end();
      resolve();
    };
    stream.once('end', end);
    stream.once('close', end);
    stream.once('error', end);
  });
}

async function endOf(container: Docker.Container, printed: Promise<void>, remove: () => Promise<void>): Promise<Exit> {
  const status: { StatusCode?: number } = await container.wait().catch(() => ({}));
  const outOfMemory = await container
    .inspect()
    .then(({ State }) => State.OOMKilled)
    .catch(() => false);
  await printed;
  await remove();
  return outOfMemory ? { code: null, signal: 'the memory limit' } : { code: status.StatusCode ?? null, signal: null };
}
