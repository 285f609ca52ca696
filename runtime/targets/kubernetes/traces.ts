import { request } from 'node:http';
import { bundleJob } from '../../../compiler/bundle.ts';
import type { KubernetesObject } from './cluster.ts';
import { filesAsConfigMaps } from './code.ts';
import { helperNeeds } from './demand.ts';
import { type HelperOptions, helperPodSpec } from './helper-pod.ts';
import { type HeldTraces, tracesPort } from './inside/traces.ts';
import { labels, objectName } from './labels.ts';
import type { Tunnel } from './tunnel.ts';

export const tracesRole = 'traces';

/** Endpoints of this machine mean nothing to a pod; others are passed on as they are. */
export const isLocal = (endpoint: string): boolean => /^(localhost|127\.|\[?::1\]?$|0\.0\.0\.0)/.test(new URL(endpoint).hostname);

/** A collector in the namespace that holds what is exported to it until it is fetched. */
export async function tracesObjects(
  name: string,
  options: HelperOptions,
): Promise<{ readonly objects: readonly KubernetesObject[]; readonly url: string }> {
  const metadata = { labels: options.labels, annotations: options.annotations };
  const own = objectName(name, tracesRole);
  const code = await bundleJob('runtime/targets/kubernetes/inside/traces-main');
  const { maps, volume } = filesAsConfigMaps(own, metadata, { 'main.mjs': code });
  const selector = { [labels.deployment]: options.labels[labels.deployment] ?? '', [labels.role]: tracesRole };
  const template = {
    metadata: { labels: { ...options.labels, ...selector }, annotations: options.annotations },
    spec: helperPodSpec(options, {
      port: tracesPort,
      ready: '/readyz',
      volume,
      // What is held between two fetches, as a string and as bytes, beside Node.js itself.
      ...helperNeeds.collector,
      graceSeconds: 1,
      restart: 'Always',
    }),
  };
  const deployment: KubernetesObject = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { ...metadata, name: own },
    spec: { replicas: 1, selector: { matchLabels: selector }, template },
  };
  const service: KubernetesObject = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...metadata, name: own },
    spec: { selector, ports: [{ name: 'otlp', port: tracesPort, targetPort: 'http' }] },
  };
  return { objects: [...maps, service, deployment], url: `http://${own}:${tracesPort}` };
}

/** Fetches what the collector holds and gives it to the receivers of this machine; returns how many requests were lost. */
export async function drainTraces(tunnel: Tunnel, receivers: readonly string[]): Promise<number> {
  const { requests, dropped } = JSON.parse(
    (await send(`http://${tunnel.host}:${tunnel.port}/drain`, 'POST', {}, '')).toString('utf8'),
  ) as HeldTraces;
  for (const { contentType, contentEncoding, body } of requests) {
    const headers = { 'content-type': contentType, ...(contentEncoding === undefined ? {} : { 'content-encoding': contentEncoding }) };
    await Promise.all(receivers.map((url) => send(`${url.replace(/\/$/, '')}/v1/traces`, 'POST', headers, Buffer.from(body, 'base64'))));
  }
  return dropped;
}

/**
 * Runs a step never twice at a time: who asks while one runs waits for the next, with all others who asked meanwhile. Spans that one
 * fetch has taken and not yet handed over would otherwise be missing for who fetched after it and found nothing.
 */
export function oneAfterAnother(step: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  return () => {
    next ??= running
      .catch(() => {})
      .then(() => {
        next = undefined;
        running = step();
        return running;
      });
    return next;
  };
}

/** One request on a connection of its own. Rejects for any answer but 2xx. */
export function send(
  url: string,
  method: string,
  headers: { readonly [name: string]: string },
  body: string | Buffer,
  signal?: AbortSignal,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      {
        method,
        agent: false,
        headers: { ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' },
        ...(signal === undefined ? {} : { signal }),
      },
      (incoming) => {
        const pieces: Buffer[] = [];
        incoming.on('data', (piece: Buffer) => pieces.push(piece));
        incoming.on('error', reject);
        incoming.on('end', () => {
          const status = incoming.statusCode ?? 0;
          if (status >= 200 && status < 300) resolve(Buffer.concat(pieces));
          else reject(new Error(`${method} ${url} answered ${status}`));
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
