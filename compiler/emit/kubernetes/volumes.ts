import type { StandingMember } from '../standing.ts';
import { bindingMapName } from './config-maps.ts';
import { type Context, componentOf, type PodGroup, stateDir } from './context.ts';
import { bindingFolder } from './environment.ts';
import type { KubernetesObject, VolumeRequest } from './input.ts';

interface Mount {
  readonly volume: { readonly name: string; readonly [source: string]: unknown };
  readonly at: string;
  readonly readOnly?: boolean;
}

const defaultState: VolumeRequest = { sizeGi: 1 };
/** Weights of a model of some tens of billions of parameters. */
const defaultCache: VolumeRequest = { sizeGi: 100 };
/** What a program may leave in its scratch folder before it is evicted. */
const scratch = '64Mi';

/** Stores that keep nothing on disk. */
const inMemory = new Set(['memory']);

export const keepsState = ({ planned, kind, program }: StandingMember): boolean => {
  if (program !== null) return false;
  const store = kind === 'unit' && 'state' in planned ? planned.state.store : 'options' in planned ? planned.options.store : undefined;
  return typeof store === 'string' && !inMemory.has(store);
};

/** What a container sees beside its image. */
export function mountsOf(context: Context, member: StandingMember): readonly Mount[] {
  const { program } = member;
  const name = (kind: string) => `${kind}-${componentOf(context.nameOf(member.id), context.prefix)}`.slice(0, 63).replace(/-+$/, '');
  if (program !== null) {
    return [
      ...(program.mount === undefined
        ? []
        : [{ volume: { name: name('cache'), persistentVolumeClaim: { claimName: cacheClaim(context, member) } }, at: program.mount.at }]),
      ...(program.sharedMemoryMb === undefined
        ? []
        : [{ volume: { name: name('shm'), emptyDir: { medium: 'Memory', sizeLimit: `${program.sharedMemoryMb}Mi` } }, at: '/dev/shm' }]),
    ];
  }
  const state = keepsState(member)
    ? { name: 'state', persistentVolumeClaim: { claimName: stateClaim(context) } }
    : { name: name('state'), emptyDir: { sizeLimit: scratch } };
  return [
    { volume: { name: name('binding'), configMap: { name: bindingMapName(context, member) } }, at: bindingFolder, readOnly: true },
    { volume: { name: name('tmp'), emptyDir: { sizeLimit: scratch } }, at: '/tmp' },
    { volume: state, at: stateDir },
  ];
}

/** Volumes of a pod: those of its containers, each once. */
export function volumesOf(context: Context, { members }: PodGroup): readonly object[] {
  const all = members.flatMap((member) => mountsOf(context, member).map(({ volume }) => volume));
  return [...new Map(all.map((volume) => [volume.name, volume])).values()];
}

const stateClaim = ({ prefix }: Context) => `${prefix}-state`;
const cacheClaim = ({ nameOf }: Context, { id }: StandingMember) => `${nameOf(id)}-cache`;

/** Claims for what outlives a pod: one volume for the state of all units, one for the weights of each model server. */
export function volumeClaims(context: Context): readonly KubernetesObject[] {
  const { members, input, prefix, nameOf } = context;
  const keeping = members.filter(keepsState);
  const caching = members.filter(({ program }) => program?.mount !== undefined);
  const state = claim(context, stateClaim(context), 'state', podsOf(keeping), input.stateVolume ?? defaultState);
  return [
    ...(keeping.length === 0 ? [] : [state]),
    ...caching.map((member) => {
      const component = componentOf(nameOf(member.id), prefix);
      return claim(context, cacheClaim(context, member), component, member.replicas, input.cacheVolume ?? defaultCache);
    }),
  ];
}

/** Pods on several nodes share a volume only where its storage can be attached to many. */
const claim = (context: Context, name: string, component: string, pods: number, wanted: VolumeRequest): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: context.metadata(name, component),
  spec: {
    accessModes: [pods > 1 ? 'ReadWriteMany' : 'ReadWriteOnce'],
    ...(wanted.storageClass === undefined ? {} : { storageClassName: wanted.storageClass }),
    resources: { requests: { storage: `${wanted.sizeGi}Gi` } },
  },
});

const podsOf = (members: readonly StandingMember[]) => members.reduce((sum, { replicas }) => sum + replicas, 0);
