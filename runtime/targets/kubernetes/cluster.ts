import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeConfig } from '@kubernetes/client-node';
import { fail } from '../../../compiler/contracts/index.ts';

/** An object as the API server takes and gives it. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: KubernetesMetadata;
  readonly [field: string]: unknown;
}

export interface KubernetesMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: { readonly [name: string]: string };
  readonly annotations?: { readonly [name: string]: string };
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly managedFields?: readonly { readonly manager?: string; readonly operation?: string }[];
  readonly ownerReferences?: readonly object[];
}

/** An answer of the API server that is no success, with what its `Status` says. */
export class ApiError extends Error {
  readonly status: number;
  /** E.g. `Conflict`, `Forbidden`, `AlreadyExists`; empty where the server gave none. */
  readonly reason: string;
  /** What was asked, for messages. */
  readonly asked: string;
  /** Which fields were in the way, and who holds them. */
  readonly causes: readonly { readonly reason?: string; readonly message?: string; readonly field?: string }[];

  constructor(status: number, asked: string, body: string) {
    const said = parseStatus(body);
    super(said.message ?? `the API server answered ${status}`);
    this.name = 'ApiError';
    this.status = status;
    this.asked = asked;
    this.reason = said.reason ?? '';
    this.causes = said.details?.causes ?? [];
  }
}

interface StatusBody {
  readonly message?: string;
  readonly reason?: string;
  readonly details?: { readonly causes?: ApiError['causes'] };
}

function parseStatus(body: string): StatusBody {
  try {
    return JSON.parse(body) as StatusBody;
  } catch {
    return body.trim() === '' ? {} : { message: body.trim().slice(0, 300) };
  }
}

export interface Ask {
  readonly query?: { readonly [name: string]: string | number | boolean | undefined };
  readonly body?: unknown;
  readonly contentType?: string;
  readonly signal?: AbortSignal | undefined;
}

/** One namespace of one cluster, through the user's own kubeconfig. */
export interface Cluster {
  readonly namespace: string;
  readonly context: string;
  readonly config: KubeConfig;
  /**
   * One question, again while the server asks us to slow down.
   * @throws ApiError for any answer but 2xx
   */
  ask<T>(method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE', path: string, rest?: Ask): Promise<T>;
  /** As `ask`, for text. */
  text(path: string, rest?: Ask): Promise<string>;
  /** The body of a successful answer as it comes, for watches. */
  stream(path: string, rest: Ask): Promise<IncomingMessage>;
}

export interface ClusterOptions {
  /** Empty: the one of the context, else `default`. */
  readonly namespace: string;
  /** Empty: the current one. */
  readonly context: string;
  /** Path; empty: `KUBECONFIG`, else `~/.kube/config`, else the service account of the pod this runs in. */
  readonly kubeconfig: string;
}

/**
 * Opens the cluster of the kubeconfig, without asking it anything.
 * @throws DmasError DMAS_ENV_TARGET when there is no package, file, context or cluster
 */
export async function openCluster(options: ClusterOptions): Promise<Cluster> {
  const { KubeConfig } = await import('@kubernetes/client-node').catch((cause: unknown) =>
    fail('DMAS_ENV_TARGET', 'The package @kubernetes/client-node is not installed.', {
      cause,
      fix: 'npm install @kubernetes/client-node@1',
    }),
  );
  const config = new KubeConfig();
  try {
    if (options.kubeconfig === '') config.loadFromDefault();
    else config.loadFromFile(options.kubeconfig);
  } catch (cause) {
    fail('DMAS_ENV_TARGET', `The kubeconfig cannot be read: ${(cause as Error).message}.`, {
      cause,
      fix: 'Set KUBECONFIG or target.kubeconfig to a file that kubectl accepts.',
    });
  }
  if (options.context !== '') config.setCurrentContext(options.context);
  const context = config.getContextObject(config.getCurrentContext());
  const cluster = config.getCurrentCluster();
  // The client invents a cluster at localhost:8080 where there is no file at all, as kubectl did once.
  const invented = options.kubeconfig === '' && cluster?.server === 'http://localhost:8080' && context?.name === 'loaded-context';
  if (context === null || cluster === null || invented) {
    const known = config.getContexts().map(({ name }) => name);
    fail(
      'DMAS_ENV_TARGET',
      options.context === ''
        ? 'There is no Kubernetes cluster in your kubeconfig.'
        : `The kubeconfig has no context ${options.context}${invented || known.length === 0 ? '' : `; it has ${known.join(', ')}`}.`,
      { fix: 'Set KUBECONFIG, or choose a context: kubectl config use-context NAME.' },
    );
  }
  return connect(config, options.namespace || context.namespace || 'default');
}

/** How often a question is asked again when the server throttles: as `client-go` (`rest.Request`, maxRetries). */
const throttledAttempts = 10;
/** How often a question without effect beyond the first is asked again when its connection broke. */
const brokenAttempts = 4;
const brokenPauseMs = 200;
/** Credentials are made anew after this long: plugins renew those that expire. */
const credentialsMs = 30_000;
/** A server that says nothing for so long is gone; watches send bookmarks about every minute. */
const silentMs = 120_000;

function connect(config: KubeConfig, namespace: string): Cluster {
  const server = config.getCurrentCluster()?.server.replace(/\/$/, '') ?? '';
  let prepared: { readonly at: number; readonly options: Promise<RequestOptions> } | undefined;
  const credentials = (): Promise<RequestOptions> => {
    if (prepared === undefined || Date.now() - prepared.at > credentialsMs) {
      const options: RequestOptions = {};
      prepared = { at: Date.now(), options: config.applyToHTTPSOptions(options).then(() => options) };
    }
    return prepared.options;
  };

  const once = async (method: string, path: string, { query = {}, body, contentType = 'application/json', signal }: Ask) => {
    const url = new URL(`${server}${path}`);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, String(value));
    const { agent, auth, headers } = await credentials();
    const payload = body === undefined ? undefined : JSON.stringify(body);
    return new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = (url.protocol === 'https:' ? httpsRequest : httpRequest)(
        url,
        {
          method,
          ...(agent === undefined ? {} : { agent }),
          ...(auth === undefined ? {} : { auth }),
          ...(signal ? { signal } : {}),
          timeout: silentMs,
          headers: {
            ...(headers as { [name: string]: string }),
            accept: 'application/json',
            'user-agent': 'dmas-opt',
            ...(payload === undefined ? {} : { 'content-type': contentType, 'content-length': Buffer.byteLength(payload) }),
          },
        },
        resolve,
      );
      outgoing.on('timeout', () => outgoing.destroy(new Error(`the API server said nothing for ${silentMs / 1000} s`)));
      outgoing.on('error', reject);
      outgoing.end(payload);
    });
  };

  const answer = async (method: string, path: string, rest: Ask): Promise<IncomingMessage> => {
    const asked = `${method} ${path}`;
    for (let throttled = 0, broken = 0; ; ) {
      let incoming: IncomingMessage;
      try {
        incoming = await once(method, path, rest);
      } catch (error) {
        rest.signal?.throwIfAborted();
        broken += 1;
        // A creation may have happened although its answer was lost.
        if (method === 'POST' || broken >= brokenAttempts || !isBroken(error)) throw error;
        await sleep(brokenPauseMs * 2 ** broken, undefined, rest.signal ? { signal: rest.signal } : {});
        continue;
      }
      const status = incoming.statusCode ?? 0;
      if (status >= 200 && status < 300) return incoming;
      const body = await readText(incoming);
      if (status === 401) prepared = undefined;
      const afterSeconds = Number(incoming.headers['retry-after'] ?? Number.NaN);
      // A server that starts or is replaced answers 502 to 504 for a moment; what it did not take may be asked again.
      const starting = status >= 502 && status <= 504 && method !== 'POST' && throttled < brokenAttempts;
      const again = status === 429 || starting || (status >= 500 && Number.isFinite(afterSeconds));
      throttled += 1;
      if (!again || throttled >= throttledAttempts) throw new ApiError(status, asked, body);
      const waitMs = Number.isFinite(afterSeconds) ? afterSeconds * 1000 : brokenPauseMs * 2 ** throttled;
      await sleep(waitMs, undefined, rest.signal ? { signal: rest.signal } : {});
    }
  };

  return {
    namespace,
    context: config.getCurrentContext(),
    config,
    ask: async <T>(method: string, path: string, rest: Ask = {}) => JSON.parse(await readText(await answer(method, path, rest))) as T,
    text: async (path, rest = {}) => readText(await answer('GET', path, rest)),
    stream: (path, rest) => answer('GET', path, rest),
  };
}

const brokenConnections: ReadonlySet<unknown> = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ECONNABORTED', 'EAI_AGAIN']);
const isBroken = (error: unknown): boolean => brokenConnections.has((error as { readonly code?: unknown }).code);

async function readText(incoming: IncomingMessage): Promise<string> {
  let text = '';
  incoming.setEncoding('utf8');
  for await (const chunk of incoming as AsyncIterable<string>) text += chunk;
  return text;
}
