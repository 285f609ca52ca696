import { gzipSync } from 'node:zlib';
import type { KubernetesObject } from './cluster.ts';

/** A ConfigMap holds 1 MiB of values (`MaxSecretSize` of the API); room is left for names. */
const mapBytes = 1_000_000;

interface Mounted {
  readonly maps: readonly KubernetesObject[];
  /** A projected volume that shows all pieces in one folder. */
  readonly volume: { readonly name: string; readonly projected: object };
}

/** Files of a pod of ours as ConfigMaps: compressed, and cut into as many as it takes. */
export function filesAsConfigMaps(
  name: string,
  metadata: Pick<KubernetesObject['metadata'], 'labels' | 'annotations'>,
  files: { readonly [file: string]: string },
): Mounted {
  const pieces = Object.entries(files).flatMap(([file, text]) => {
    const packed = gzipSync(text, { level: 9 });
    return Array.from({ length: Math.max(1, Math.ceil(packed.length / mapBytes)) }, (_, index) => ({
      key: `${file}.gz.${String(index).padStart(3, '0')}`,
      bytes: packed.subarray(index * mapBytes, (index + 1) * mapBytes),
    }));
  });
  const groups: (typeof pieces)[] = [];
  for (const piece of pieces) {
    const last = groups.at(-1);
    const size = last?.reduce((sum, { bytes }) => sum + bytes.length, 0) ?? Number.POSITIVE_INFINITY;
    if (last !== undefined && size + piece.bytes.length <= mapBytes) last.push(piece);
    else groups.push([piece]);
  }
  const maps = groups.map(
    (group, index): KubernetesObject => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { ...metadata, name: `${name}-${index}` },
      binaryData: Object.fromEntries(group.map(({ key, bytes }) => [key, bytes.toString('base64')])),
    }),
  );
  return {
    maps,
    volume: { name: 'files', projected: { sources: maps.map((map) => ({ configMap: { name: map.metadata.name } })) } },
  };
}

export const filesFolder = '/dmas';

/**
 * What Node.js is told to run: puts the pieces of `main.mjs` together and starts it. No file needs to be written, and
 * nothing of the image is needed but Node.js.
 */
export const loader = [
  "import { readdirSync, readFileSync, writeFileSync } from 'node:fs';",
  "import { gunzipSync } from 'node:zlib';",
  'const folder = process.env.DMAS_FILES;',
  "globalThis.dmasFile = (name) => gunzipSync(Buffer.concat(readdirSync(folder).filter((file) => file.startsWith(name + '.gz.')).sort().map((file) => readFileSync(folder + '/' + file)))).toString('utf8');",
  "const file = (process.env.TMPDIR ?? '/tmp') + '/main.mjs';",
  "writeFileSync(file, dmasFile('main.mjs'));",
  "await import('file://' + file);",
].join('\n');
