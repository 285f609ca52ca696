import { lookup } from 'node:dns/promises';
import type Docker from 'dockerode';
import { fail, type Problem } from '../../../compiler/contracts/index.ts';

/** dockerode, which is an optional peer: it is only loaded when this target is used. Finds the engine by DOCKER_HOST. */
export async function openEngine(): Promise<Docker> {
  const { default: Engine } = await import('dockerode').catch((cause: unknown) =>
    fail('DMAS_ENV_TARGET', 'The package dockerode is not installed.', { cause, fix: 'npm install dockerode@5' }),
  );
  return new Engine();
}

/** An engine, and how what it publishes is reached from here. */
export interface EnginePlace {
  readonly docker: Docker;
  /** It runs on this machine (or in a virtual machine that shares our folders and loopback). */
  readonly local: boolean;
  /** Address of its machine at which ports are published. */
  readonly publishAt: string;
  /** Name or address of its machine, as this machine reaches it. */
  readonly reachedAt: string;
}

const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[?::1\]?)$/;

/** An engine behind a socket or on the loopback is here; any other publishes at the address under which we find it. */
export async function placeOf(docker: Docker): Promise<EnginePlace> {
  const { socketPath, host } = docker.modem as { readonly socketPath?: string; readonly host?: string };
  if (socketPath || host === undefined || loopback.test(host))
    return { docker, local: true, publishAt: '127.0.0.1', reachedAt: '127.0.0.1' };
  const { address } = await lookup(host, { family: 4 });
  return { docker, local: false, publishAt: address, reachedAt: address };
}

/** An engine that does not answer a ping by then is taken for absent. */
const pingMs = 5_000;

/** Rejects when the engine does not answer; a DOCKER_HOST that leads nowhere would else be waited for for minutes. */
export async function ping(engine: Docker): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${pingMs} ms`)), pingMs);
  });
  await Promise.race([engine.ping(), late]).finally(() => clearTimeout(timer));
}

/** What is missing to run a plan in containers. */
export async function checkDockerTarget(image: string): Promise<Problem[]> {
  try {
    const engine = await openEngine();
    await ping(engine);
    const version = (await engine.version()) as Version;
    return [...podmanProblems(version), ...(image ? [] : ownNodeProblems(version.Os, version.Arch))];
  } catch (error) {
    return [problem(`No Docker engine answers: ${(error as Error).message}.`, 'Start one, or set DOCKER_HOST.')];
  }
}

interface Version {
  readonly Os: string;
  readonly Arch: string;
  readonly Components?: readonly { readonly Name: string; readonly Version: string }[];
}

/**
 * Podman's compatible socket (tried: 4.3.1) drops the tag of an imported image, and answers to the options that keep
 * containers of a network apart and without a way out that it does not know them.
 */
function podmanProblems({ Components = [] }: Version): Problem[] {
  const podman = Components.find(({ Name }) => Name.startsWith('Podman'));
  if (podman === undefined) return [];
  return [
    problem(
      `The engine is Podman ${podman.Version}, whose networks cannot keep units apart and without a way out as Docker's do.`,
      'Point DOCKER_HOST at a Docker engine, use target process, or run the files of dmas-opt export --format compose with podman compose.',
    ),
  ];
}

/** The names Node.js and Docker give to one processor. */
const architectures: { readonly [node: string]: string } = { x64: 'amd64', arm64: 'arm64' };

function ownNodeProblems(engineSystem: string, engineArchitecture: string): Problem[] {
  const here = `${process.platform}/${architectures[process.arch] ?? process.arch}`;
  const there = `${engineSystem}/${engineArchitecture}`;
  if (here === there) return [];
  return [
    problem(
      `The Docker engine runs ${there}, so this machine's Node.js (${here}) cannot run in it.`,
      'Set target.image to an image with Node.js, such as node:20-slim.',
    ),
  ];
}

const problem = (message: string, fix: string): Problem => ({ code: 'DMAS_ENV_TARGET', severity: 'error', message, fix });
