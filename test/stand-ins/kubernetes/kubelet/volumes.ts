import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { builtInKind, type World } from '../api/world.ts';
import { isObject, type JsonObject, type KubeObject, objectAt, objectsAt, textAt } from '../state/json.ts';

/** A path inside a container and the folder it is outside. */
export type Mount = readonly [inside: string, outside: string];

/**
 * Puts the volumes of a pod on disk and says where a container finds them.
 * @throws {Error} `CreateContainerConfigError: …` where what a volume is of is not there
 */
export function mountVolumes(world: World, pod: KubeObject, container: JsonObject, folder: string): readonly Mount[] {
  const mounts = objectsAt(container, 'volumeMounts').map((mount): Mount => {
    const volume = objectsAt(pod, 'spec', 'volumes').find(({ name }) => name === mount.name) ?? {};
    const outside = path.join(folder, 'volumes', String(mount.name));
    mkdirSync(outside, { recursive: true });
    fillVolume(world, pod, volume, outside);
    const inside = String(mount.mountPath).replace(/\/$/, '');
    return [inside, path.join(outside, textAt(mount, 'subPath') ?? '')];
  });
  // The longest path is the nearest mount.
  return mounts.sort(([a], [b]) => b.length - a.length);
}

function fillVolume(world: World, pod: KubeObject, volume: JsonObject, folder: string): void {
  const sources = isObject(volume.projected) ? objectsAt(volume.projected, 'sources') : [volume];
  for (const source of sources) {
    for (const kind of ['configMap', 'secret'] as const) {
      const from = source[kind];
      if (!isObject(from)) continue;
      const name = textAt(from, kind === 'secret' && !isObject(volume.projected) ? 'secretName' : 'name') ?? '';
      const files = dataOf(world, kind === 'secret' ? 'Secret' : 'ConfigMap', pod.metadata.namespace, name);
      if (files === null && from.optional === true) continue;
      if (files === null) throw new Error(`CreateContainerConfigError: ${kind.toLowerCase()} "${name}" not found`);
      const items = objectsAt(from, 'items');
      const chosen =
        items.length === 0
          ? Object.keys(files).map((key) => [key, key] as const)
          : items.map(({ key, path: to }) => [String(key), String(to)] as const);
      for (const [key, to] of chosen) write(path.join(folder, to), files[key] ?? Buffer.alloc(0), to.endsWith('.sh'));
    }
    for (const item of objectsAt(source, 'downwardAPI', 'items')) {
      write(path.join(folder, String(item.path)), Buffer.from(fieldOf(pod, textAt(item, 'fieldRef', 'fieldPath') ?? '')), false);
    }
  }
}

function write(file: string, content: Buffer, executable: boolean): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
  if (executable) chmodSync(file, 0o755);
}

/** What a config map or a secret holds, as bytes; null where it is not there. */
export function dataOf(
  world: World,
  kind: 'ConfigMap' | 'Secret',
  namespace: string | undefined,
  name: string,
): { [key: string]: Buffer } | null {
  const found = world.store.get(builtInKind(kind), namespace, name);
  if (!found) return null;
  const texts = Object.entries(objectAt(found, 'data')).map(([key, value]) => [
    key,
    Buffer.from(String(value), kind === 'Secret' ? 'base64' : 'utf8'),
  ]);
  const binary = Object.entries(objectAt(found, 'binaryData')).map(([key, value]) => [key, Buffer.from(String(value), 'base64')]);
  return Object.fromEntries([...texts, ...binary]) as { [key: string]: Buffer };
}

/** A field of a pod, as the downward API gives it. */
export function fieldOf(pod: KubeObject, field: string, podIp = ''): string {
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(field);
  if (keyed) return textAt(pod, 'metadata', String(keyed[1]), String(keyed[2])) ?? '';
  if (field === 'status.podIP' || field === 'status.podIPs') return podIp;
  if (field === 'status.hostIP') return '127.0.0.1';
  return textAt(pod, ...field.split('.')) ?? '';
}
