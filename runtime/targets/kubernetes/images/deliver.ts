import type Docker from 'dockerode';
import { type Bundle, DmasError, fail, type Problem } from '../../../../compiler/contracts/index.ts';
import { ensureAppImage } from '../../docker/app-image.ts';
import { openEngine, ping } from '../../docker/engine.ts';
import { ensureImage, followed } from '../../docker/image.ts';
import type { KubernetesOptions } from '../options.ts';
import { credentialsFor, registryHost } from './credentials.ts';
import { clusterOf, loadInto, missingTool } from './local-cluster.ts';

/** Brings images to where the nodes find them, each once. */
export interface Delivery {
  /** The image with the code of these bundles, under the name the nodes know it by. */
  application(name: string, bundles: readonly Bundle[]): Promise<string>;
  /** The image with Node.js alone, for pods of our own. */
  base(): Promise<string>;
}

type Asked = Pick<KubernetesOptions, 'image' | 'registry' | 'load' | 'localCluster' | 'imagePullPolicy'>;

/** Whether code comes in images; else it comes in ConfigMaps. */
export const deliversImages = ({ registry, load }: Pick<Asked, 'registry' | 'load'>): boolean => registry !== '' || load !== 'none';

/** What is missing to build and bring images; empty where none are asked for. */
export async function checkDelivery(options: Asked): Promise<Problem[]> {
  if (!deliversImages(options)) return [];
  const problems = contradictions(options);
  const tool = options.load === 'none' ? undefined : missingTool(options.load);
  const engine = await openEngine()
    .then(ping)
    .then(
      () => undefined,
      (error: Error) => error,
    );
  return [
    ...problems,
    ...(tool === undefined ? [] : [tool]),
    ...(engine === undefined
      ? []
      : [
          {
            code: 'DMAS_ENV_TARGET' as const,
            severity: 'error' as const,
            message: `Images are built by a Docker engine, and none answers: ${engine.message}.`,
            fix: 'Start one, or set DOCKER_HOST; without target.registry and target.load none is needed, and code comes in ConfigMaps.',
          },
        ]),
  ];
}

function contradictions({ registry, load, imagePullPolicy }: Asked): Problem[] {
  const problem = (message: string, fix: string): Problem => ({ code: 'DMAS_CFG_CONTRADICTION', severity: 'error', message, fix });
  return [
    ...(registry !== '' && load !== 'none'
      ? [problem('target.registry and target.load are both set.', 'Keep one of them: images are pushed or loaded.')]
      : []),
    ...(load !== 'none' && imagePullPolicy === 'Always'
      ? [problem('target.imagePullPolicy is Always, and loaded images are in no registry.', 'Leave it out, or say Never.')]
      : []),
  ];
}

/** @param context of the kubeconfig, after which local clusters are named */
export function createDelivery(options: Asked, context: string): Delivery {
  const brought = new Map<string, Promise<string>>();
  const once = (image: string, bring: () => Promise<string>) => {
    const known = brought.get(image) ?? bring();
    brought.set(image, known);
    // What failed is tried again next time.
    known.catch(() => brought.delete(image));
    return known;
  };
  const engine = async () => {
    const wrong = contradictions(options);
    if (wrong.length > 0) throw new DmasError(wrong);
    const docker = await openEngine();
    await ensureImage(docker, options.image).catch((cause: Error) =>
      fail('DMAS_DEPLOY_FAILED', `The image that others are built on is not to be had: ${cause.message}`, {
        cause,
        fix: 'Set target.image to one with Node.js that the engine has or can fetch.',
      }),
    );
    return docker;
  };
  const bring = (docker: Docker, image: string, repository: string, tag: string) =>
    once(image, async () => {
      if (options.load !== 'none') {
        await loadInto(options.load, clusterOf(options.load, context, options.localCluster), docker, image);
        return image;
      }
      return push(docker, image, `${options.registry.replace(/\/+$/, '')}/${repository}`, tag);
    });
  return {
    application: async (name, bundles) => {
      const docker = await engine();
      const image = await ensureAppImage(docker, options.image, name, bundles).catch((cause: Error) =>
        fail('DMAS_DEPLOY_FAILED', `The image of ${name} could not be built: ${cause.message}`, {
          cause,
          fix: 'See the log of the engine.',
        }),
      );
      return bring(docker, image, 'dmas-opt-app', image.slice(image.lastIndexOf(':') + 1));
    },
    base: async () => {
      const docker = await engine();
      const { Id } = await docker.getImage(options.image).inspect();
      return bring(docker, options.image, 'dmas-opt-node', Id.replace(/^sha256:/, '').slice(0, 12));
    },
  };
}

/** Tags are made of the content, so pushing again changes nothing. */
async function push(docker: Docker, image: string, repository: string, tag: string): Promise<string> {
  const name = `${repository}:${tag}`;
  const host = registryHost(repository);
  // An engine wants to be told that there are none.
  const authconfig = (await credentialsFor(host)) ?? {};
  await docker.getImage(image).tag({ repo: repository, tag });
  try {
    await followed(docker, await docker.getImage(name).push({ authconfig }));
  } catch (cause) {
    const { message } = cause as Error;
    const refused = /unauthorized|denied|authentication|no basic auth/i.test(message);
    fail('DMAS_DEPLOY_FAILED', `${name} could not be pushed: ${message.trim().replace(/\.$/, '')}.`, {
      cause,
      fix: refused
        ? `Log in (docker login ${host}) as somebody who may push to ${repository}.`
        : `Check target.registry: the engine must reach ${host}, over TLS unless it is told otherwise.`,
    });
  } finally {
    // The image has a name of its own here; this one was for the way.
    await docker
      .getImage(name)
      .remove({ noprune: true })
      .catch(() => {});
  }
  return name;
}
