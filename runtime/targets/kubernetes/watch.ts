import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, type Cluster, type KubernetesObject } from './cluster.ts';
import { collectionPath } from './resources.ts';

/** One watch lasts this long, then a new one goes on where it ended. */
const watchSeconds = 300;
const firstPauseMs = 100;
const longestPauseMs = 5_000;

/**
 * The objects of one kind that bear some labels, kept true by a watch. A dropped watch goes on where it was; where the
 * server no longer knows that place (410), everything is listed again.
 */
export class ObjectView {
  readonly #cluster: Cluster;
  readonly #path: string;
  readonly #selector: string;
  readonly #objects = new Map<string, KubernetesObject>();
  readonly #listeners = new Set<(change: Change) => void>();
  readonly #ending = new AbortController();
  #resourceVersion = '';
  #running: Promise<void> = Promise.resolve();

  constructor(cluster: Cluster, kind: string, selector: string) {
    this.#cluster = cluster;
    this.#path = collectionPath(cluster, kind);
    this.#selector = selector;
  }

  /** Lists once, then follows until closed. Rejects when the list does. */
  async start(signal?: AbortSignal): Promise<this> {
    await this.#list(signal);
    this.#running = this.#follow();
    return this;
  }

  get objects(): readonly KubernetesObject[] {
    return [...this.#objects.values()];
  }

  /** Called for each change, with the object before and after; ends the subscription when called itself. */
  onChange(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#ending.abort();
    this.#listeners.clear();
    await this.#running;
  }

  async #list(signal: AbortSignal = this.#ending.signal): Promise<void> {
    const found = new Map<string, KubernetesObject>();
    let next: string | undefined = '';
    while (next !== undefined) {
      const page: ListPage = await this.#cluster.ask<ListPage>('GET', this.#path, {
        query: { labelSelector: this.#selector, limit: 500, ...(next === '' ? {} : { continue: next }) },
        signal,
      });
      for (const item of page.items) found.set(item.metadata.name, item);
      next = page.metadata.continue || undefined;
      this.#resourceVersion = page.metadata.resourceVersion ?? '';
    }
    for (const before of this.objects) if (!found.has(before.metadata.name)) this.#set(before.metadata.name, null);
    for (const [name, object] of found) this.#set(name, object);
  }

  #set(name: string, after: KubernetesObject | null): void {
    const before = this.#objects.get(name) ?? null;
    if (before?.metadata.resourceVersion !== undefined && before.metadata.resourceVersion === after?.metadata.resourceVersion) return;
    if (after === null) this.#objects.delete(name);
    else this.#objects.set(name, after);
    if (before === null && after === null) return;
    for (const listener of [...this.#listeners]) listener({ before, after });
  }

  async #follow(): Promise<void> {
    const { signal } = this.#ending;
    for (let pauseMs = firstPauseMs; !signal.aborted; ) {
      const startedAt = Date.now();
      try {
        await this.#watch();
      } catch (error) {
        if (signal.aborted) return;
        // Too old a place: what happened meanwhile is only in a new list.
        if (error instanceof ApiError && (error.status === 410 || error.status === 400)) this.#resourceVersion = '';
      }
      // One that lasted was a good one.
      if (Date.now() - startedAt > longestPauseMs) pauseMs = firstPauseMs;
      await sleep(pauseMs, undefined, { signal }).catch(() => {});
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
      if (this.#resourceVersion === '' && !signal.aborted) await this.#list().catch(() => {});
    }
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ending;
    const incoming = await this.#cluster.stream(this.#path, {
      query: {
        watch: 1,
        labelSelector: this.#selector,
        resourceVersion: this.#resourceVersion,
        allowWatchBookmarks: true,
        timeoutSeconds: watchSeconds,
      },
      signal,
    });
    try {
      for await (const line of createInterface({ input: incoming })) {
        if (line.trim() !== '') this.#take(JSON.parse(line) as WatchEvent);
      }
    } finally {
      incoming.destroy();
    }
  }

  #take({ type, object }: WatchEvent): void {
    if (type === 'ERROR') throw new ApiError((object as { code?: number }).code ?? 500, 'watch', JSON.stringify(object));
    this.#resourceVersion = object.metadata.resourceVersion ?? this.#resourceVersion;
    if (type !== 'BOOKMARK') this.#set(object.metadata.name, type === 'DELETED' ? null : object);
  }
}

export interface Change {
  readonly before: KubernetesObject | null;
  readonly after: KubernetesObject | null;
}

interface ListPage {
  readonly items: readonly KubernetesObject[];
  readonly metadata: { readonly resourceVersion?: string; readonly continue?: string };
}

interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: KubernetesObject;
}

/** All objects of a kind with these labels, page by page. List items bear no kind of their own; here they do. */
export async function listObjects(cluster: Cluster, kind: string, selector: string): Promise<KubernetesObject[]> {
  const slash = kind.lastIndexOf('/');
  const objects: KubernetesObject[] = [];
  for (let next: string | undefined = ''; next !== undefined; ) {
    const page: ListPage = await cluster.ask<ListPage>('GET', collectionPath(cluster, kind), {
      query: { labelSelector: selector, limit: 500, ...(next === '' ? {} : { continue: next }) },
    });
    objects.push(...page.items.map((item) => ({ ...item, apiVersion: kind.slice(0, slash), kind: kind.slice(slash + 1) })));
    next = page.metadata.continue || undefined;
  }
  return objects;
}
