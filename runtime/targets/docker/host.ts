import { chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Launch, ReplicaHost } from '../supervise/host.ts';
import { beforeExit, checkReport, startedWatcher } from '../supervise/started.ts';
import type { DeployRequest } from '../target.ts';
import { ensureAppImage } from './app-image.ts';
import { startContainer } from './container.ts';
import type { EnginePlace } from './engine.ts';
import { ensureImage, ensureNodeImage, present } from './image.ts';
import { dockerName } from './labels.ts';
import { DeploymentNetworks } from './networks.ts';
import { aliasesOf, unitUser } from './options.ts';
import { openStateVolume } from './state-volume.ts';
import { pruneImages } from './unused-images.ts';

/** Reading a container's counters costs the engine a few milliseconds. */
const usageIntervalMs = 2_000;

export interface DockerSettings {
  /** A base image with Node.js; empty for one made of the Node.js of this machine. */
  readonly image: string;
  /** Range of IPv4 addresses that networks are cut from; empty leaves it to the engine. */
  readonly subnets: string;
  /** Images of applications that no container is made of and that are kept for the next time. */
  readonly keepImages: number;
}

/** Where state of units is kept. */
interface StateKeeper {
  /** A folder or the name of a volume. */
  readonly source: string;
  close(): Promise<void>;
}

/** Runs replicas as containers, for one deployment. */
export async function dockerHost(place: EnginePlace, settings: DockerSettings, request: DeployRequest): Promise<ReplicaHost> {
  const { docker, local } = place;
  const { deploymentId, otlpEndpoints } = request;
  /** Image by the digest of a bundle in it, and how it is made. */
  const images = new Map<string, { readonly name: string; readonly build: () => Promise<string> }>();
  let newest = '';
  const networks = new DeploymentNetworks(docker, { deploymentId, otlpEndpoints, subnets: settings.subnets, local, image: () => newest });
  const stateFolder = join(request.folder, 'state');
  mkdirSync(stateFolder, { recursive: true, mode: 0o700 });
  let state: StateKeeper | undefined;

  const startOf = (launch: Launch, watcher: ReturnType<typeof startedWatcher>, image: string) => {
    const { member, instanceId } = launch;
    const name = `dmas-${dockerName(deploymentId)}-${dockerName(instanceId)}`;
    const attachments = networks.enter(name, member.id, aliasesOf(launch));
    const placement = {
      image,
      name,
      attachments,
      hasWayOut: networks.hasWayOut(member.id),
      otlpEndpoints: networks.otlpEndpoints,
      state: state?.source ?? stateFolder,
      publishAt: place.publishAt,
    };
    return startContainer(docker, launch, placement, place.reachedAt, watcher.onOutput).then(
      (started) => {
        void started.exited.then(() => networks.leave(name));
        return started;
      },
      (error: unknown) => {
        networks.leave(name);
        throw error;
      },
    );
  };

  return {
    usageIntervalMs,
    async prepare({ plan, bundles }, signal) {
      const build = async () => {
        const base = settings.image || (await ensureNodeImage(docker));
        await ensureImage(docker, base, signal);
        return ensureAppImage(docker, base, plan.application, bundles);
      };
      newest = await build();
      for (const { sha256 } of bundles) images.set(sha256, { name: newest, build });
      state ??= local ? folderState(stateFolder) : await openStateVolume(docker, deploymentId, newest, stateFolder);
      await networks.prepare(plan);
    },
    settle: () => networks.settle(),
    async launch(launch, signal) {
      signal.throwIfAborted();
      const { member, instanceId, log } = launch;
      const socket = member.listens.find(({ transport }) => transport === 'unix');
      if (socket) throw new Error(`${socket.address} is a unix socket, which containers do not share`);
      if (member.program?.planned.image) await ensureImage(docker, member.program.planned.image, signal);
      const watcher = startedWatcher((line) => log.write(line));
      const image = images.get(member.bundle?.sha256 ?? '');
      const started = await startOf(launch, watcher, image?.name ?? newest).catch(async (error: { readonly statusCode?: number }) => {
        // An image that nobody uses may be cleaned away before its first container is made.
        if (error.statusCode !== 404 || image === undefined || (await present(docker, image.name))) throw error;
        return startOf(launch, watcher, await image.build());
      });
      try {
        if (member.program === null) checkReport(await beforeExit(watcher.report, started.exited, signal), member);
      } catch (error) {
        await started.signal('SIGKILL');
        await started.exited;
        throw error;
      }
      return {
        ...started,
        instanceId,
        async terminate(graceMs) {
          await started.usage();
          await started.signal(graceMs > 0 ? 'SIGTERM' : 'SIGKILL');
          const timer = setTimeout(() => void started.signal('SIGKILL'), graceMs);
          await started.exited;
          clearTimeout(timer);
        },
        async kill() {
          await started.usage();
          await started.signal('SIGKILL');
          await started.exited;
        },
      };
    },
    async close() {
      try {
        await state?.close();
      } finally {
        await networks.close();
      }
      await pruneImages(docker, settings.keepImages).catch(() => {});
    },
  };
}

/** A folder of this machine; units that do not run as its owner may write to it as well. */
function folderState(folder: string): StateKeeper {
  const { uid, gid } = unitUser();
  if (process.getuid?.() === 0) chownSync(folder, uid, gid);
  return { source: folder, close: async () => {} };
}
