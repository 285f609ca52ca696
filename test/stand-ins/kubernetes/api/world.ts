import type { KubeObject, Metadata } from '../state/json.ts';
import { type Change, Store } from '../state/store.ts';
import { Faults } from './faults.ts';
import { builtIn, type Resource } from './resources.ts';
import type { User } from './rights.ts';
import { type KubernetesVersion, type Schema, schemaOf } from './schema.ts';

/** All a stand-in knows: the objects, who may do what, and what goes wrong. */
export interface World {
  readonly version: KubernetesVersion;
  readonly schema: Schema;
  readonly store: Store;
  readonly faults: Faults;
  readonly users: Map<string, User>;
  /** Custom resources that are defined, beside the built-in ones. */
  readonly custom: Map<string, Resource>;
  /** Folders of images: name → folder that holds what the container sees as `/`. */
  readonly images: Map<string, string>;
  /** Which part of loopback its pods and services have, 1 to 4095: stand-ins run side by side on a machine. */
  readonly block: number;
  /** Ends every open watch. */
  dropWatches: () => void;
  /** Asks the controllers to look again. */
  wake: () => void;
}

let worlds = 0;

export function createWorld(version: KubernetesVersion): World {
  const world: World = {
    version,
    schema: schemaOf(version),
    store: new Store(),
    faults: new Faults(() => world.wake()),
    users: new Map(),
    custom: new Map(),
    images: new Map(),
    // Neighbours in time have neighbouring process ids; the stride keeps several of one process away from them.
    block: 1 + ((process.pid + 512 * worlds++) % 4_095),
    dropWatches: () => {},
    wake: () => {},
  };
  return world;
}

export const allResources = (world: World): readonly Resource[] => [...builtIn, ...world.custom.values()];

export function findResource(world: World, group: string, version: string, plural: string): Resource | undefined {
  return allResources(world).find((each) => each.group === group && each.version === version && each.plural === plural);
}

const byKind = new Map(builtIn.map((resource) => [resource.kind, resource]));

/** A built-in resource by its kind, which is known to be there. */
export function builtInKind(kind: string): Resource {
  const found = byKind.get(kind);
  if (!found) throw new Error(`no built-in kind ${kind}`);
  return found;
}

/** An object that is not stored yet: a server gives it the rest of its metadata. */
export function newObject(
  resource: Resource,
  metadata: Partial<Metadata> & { readonly name: string },
  rest: { readonly [key: string]: unknown },
): KubeObject {
  return {
    apiVersion: resource.group === '' ? resource.version : `${resource.group}/${resource.version}`,
    kind: resource.kind,
    metadata: { uid: '', resourceVersion: '', creationTimestamp: '', ...metadata },
    ...rest,
  } as KubeObject;
}

export type { Change };
