import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

/** Minor versions of Kubernetes there are models of. */
export type KubernetesVersion = '1.32' | '1.34';

export type FieldType =
  | { readonly is: 'text' | 'number' | 'boolean' | 'any' | 'intOrText' | 'date' }
  | { readonly is: 'list' | 'map'; readonly of: FieldType }
  | { readonly is: 'model'; readonly model: string };

export interface Field {
  readonly name: string;
  readonly type: FieldType;
  readonly format: string;
  readonly required: boolean;
}

export type Model = ReadonlyMap<string, Field>;

/** All models of one version, read one by one when they are asked for. */
export interface Schema {
  readonly version: KubernetesVersion;
  readonly model: (name: string) => Model | null;
}

const schemas = new Map<KubernetesVersion, Schema>();

/** Models of a version, as the generated client of that version describes them. */
export function schemaOf(version: KubernetesVersion): Schema {
  const known = schemas.get(version);
  if (known) return known;
  const folder = modelsFolder(version);
  const models = new Map<string, Model | null>();
  const schema: Schema = {
    version,
    model: (name) => {
      const read = models.get(name);
      if (read !== undefined) return read;
      const model = readModel(folder, name);
      models.set(name, model);
      return model;
    },
  };
  schemas.set(version, schema);
  return schema;
}

/** True where the models of a version are installed. */
export function hasSchema(version: KubernetesVersion): boolean {
  try {
    modelsFolder(version);
    return true;
  } catch {
    return false;
  }
}

function modelsFolder(version: KubernetesVersion): string {
  if (version === '1.34') {
    return path.join(path.dirname(createRequire(import.meta.url).resolve('@kubernetes/client-node')), 'gen', 'models');
  }
  const folder = path.join(process.env.DMAS_OPT_KUBE ?? '', 'node_modules', 'kubernetes-client-older', 'dist', 'gen', 'models');
  if (!existsSync(folder)) throw new Error(`no models of Kubernetes ${version}: DMAS_OPT_KUBE must name the folder with the older client`);
  return folder;
}

interface Attribute {
  readonly name: string;
  readonly baseName: string;
  readonly type: string;
  readonly format: string;
}

/** Names and types stand in a model's code, what is required only in its declarations. */
function readModel(folder: string, name: string): Model | null {
  const file = path.join(folder, name);
  if (!/^[A-Za-z0-9]+$/.test(name) || !existsSync(`${file}.js`)) return null;
  const code = readFileSync(`${file}.js`, 'utf8');
  const start = code.indexOf('.attributeTypeMap = [');
  const attributes = JSON.parse(code.slice(code.indexOf('[', start), code.indexOf('];', start) + 1)) as Attribute[];
  const declarations = readFileSync(`${file}.d.ts`, 'utf8');
  return new Map(
    attributes.map((attribute) => [
      attribute.baseName,
      {
        name: attribute.baseName,
        type: fieldType(attribute.type, attribute.format),
        format: attribute.format,
        required: declarations.includes(`'${attribute.name}': `),
      },
    ]),
  );
}

function fieldType(type: string, format: string): FieldType {
  const list = /^Array<(.*)>$/.exec(type);
  if (list) return { is: 'list', of: fieldType(String(list[1]), format) };
  const map = /^\{ \[key: string\]: (.*); \}$/.exec(type);
  if (map) return { is: 'map', of: fieldType(String(map[1]), format) };
  if (type === 'string') return { is: 'text' };
  if (type === 'number') return { is: 'number' };
  if (type === 'boolean') return { is: 'boolean' };
  if (type === 'IntOrString') return { is: 'intOrText' };
  if (type === 'Date' || type === 'V1MicroTime') return { is: 'date' };
  if (type === 'any') return { is: 'any' };
  return { is: 'model', model: type };
}
