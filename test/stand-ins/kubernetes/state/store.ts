import { randomUUID } from 'node:crypto';
import { qualifiedName, type Resource } from '../api/resources.ts';
import { copy, type KubeObject, same } from './json.ts';

export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly version: number;
  readonly resource: string;
  readonly object: KubeObject;
  readonly before: KubeObject | null;
}

export type Listener = (change: Change) => void;

/** Changes kept for watches that come back; a watch from further back gets 410. */
const historyLength = 5000;

/** The objects, every change numbered. Whoever reads gets a copy. */
export class Store {
  private readonly tables = new Map<string, Map<string, KubeObject>>();
  private readonly listeners = new Set<Listener>();
  private history: Change[] = [];
  private counter = 1;
  /** Changes up to here are forgotten. */
  private forgotten = 0;

  get version(): number {
    return this.counter;
  }

  get(resource: Resource, namespace: string | undefined, name: string): KubeObject | undefined {
    const found = this.table(resource).get(keyOf(namespace, name));
    return found && copy(found);
  }

  list(resource: Resource, namespace?: string): KubeObject[] {
    const found = [...this.table(resource).entries()].filter(
      ([, object]) => namespace === undefined || object.metadata.namespace === namespace,
    );
    return found.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => copy(object));
  }

  /** Of every kind. */
  all(): KubeObject[] {
    return [...this.tables.values()].flatMap((table) => [...table.values()].map(copy));
  }

  create(resource: Resource, object: KubeObject): KubeObject {
    const created: KubeObject = {
      ...copy(object),
      metadata: {
        ...copy(object.metadata),
        uid: object.metadata.uid || randomUUID(),
        creationTimestamp: now(),
        resourceVersion: String(++this.counter),
      },
    };
    this.table(resource).set(keyOf(created.metadata.namespace, created.metadata.name), created);
    this.tell({ type: 'ADDED', version: this.counter, resource: qualifiedName(resource), object: created, before: null });
    return copy(created);
  }

  /** Writes an object over the stored one; what changes nothing changes no version. */
  replace(resource: Resource, object: KubeObject): KubeObject {
    const key = keyOf(object.metadata.namespace, object.metadata.name);
    const before = this.table(resource).get(key);
    if (!before) throw new Error(`${qualifiedName(resource)} ${key} is not stored`);
    const plain: KubeObject = { ...object, metadata: { ...object.metadata, resourceVersion: before.metadata.resourceVersion } };
    if (same(before, plain)) return copy(before);
    const after = { ...copy(object), metadata: { ...copy(object.metadata), resourceVersion: String(++this.counter) } };
    this.table(resource).set(key, after);
    this.tell({ type: 'MODIFIED', version: this.counter, resource: qualifiedName(resource), object: after, before });
    return copy(after);
  }

  remove(resource: Resource, object: KubeObject): KubeObject {
    const key = keyOf(object.metadata.namespace, object.metadata.name);
    const before = this.table(resource).get(key) ?? object;
    this.table(resource).delete(key);
    const last = { ...copy(before), metadata: { ...copy(before.metadata), resourceVersion: String(++this.counter) } };
    this.tell({ type: 'DELETED', version: this.counter, resource: qualifiedName(resource), object: last, before });
    return copy(last);
  }

  onChange(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Changes after a version, or null where some of them are forgotten. */
  since(version: number): readonly Change[] | null {
    if (version < this.forgotten) return null;
    return this.history.filter((change) => change.version > version);
  }

  /** Forgets all changes so far, as a compaction does. */
  compact(): void {
    this.forgotten = ++this.counter;
    this.history = [];
  }

  private table(resource: Resource): Map<string, KubeObject> {
    const name = qualifiedName(resource);
    const table = this.tables.get(name) ?? new Map<string, KubeObject>();
    this.tables.set(name, table);
    return table;
  }

  private tell(change: Change): void {
    this.history.push(change);
    if (this.history.length > historyLength) {
      const dropped = this.history.splice(0, this.history.length - historyLength);
      this.forgotten = dropped.at(-1)?.version ?? this.forgotten;
    }
    for (const listener of [...this.listeners]) listener(change);
  }
}

const keyOf = (namespace: string | undefined, name: string) => `${namespace ?? ''}/${name}`;

/** The moment as objects carry it. */
export const now = (): string => new Date().toISOString().replace(/\.\d+Z$/, 'Z');
