import { createHash } from 'node:crypto';
import { type LeaseOwner, ownerState } from '../process/lease.ts';
import type { KubernetesObject } from './cluster.ts';

/** Who may change which field is kept by the API server under this name. */
export const fieldManager = 'dmas-opt';

/** On everything this target creates; by these it is found again. */
export const labels = {
  managedBy: 'app.kubernetes.io/managed-by',
  deployment: 'dmas-opt/deployment',
  member: 'dmas-opt/member',
  /** Content of a member: pods of an old and a new one stand side by side while a plan is replaced. */
  version: 'dmas-opt/version',
  role: 'dmas-opt/role',
} as const;

export const annotations = {
  /** JSON of `LeaseOwner`; too long for a label. */
  owner: 'dmas-opt/owner',
  /** The deployment's id as it was given: a label holds fewer characters. */
  deploymentId: 'dmas-opt/deployment-id',
  /** On the record of a deployment: when its owner last said that it lives, ISO 8601. */
  renewed: 'dmas-opt/renewed',
} as const;

/** RFC 1123 label: 63 characters. Room is left for what is appended. */
const longestName = 50;
const digestLength = 8;

/** A name objects may bear, the same for the same text; a digest keeps apart what only differs in what is replaced. */
export function objectName(...parts: readonly string[]): string {
  const text = parts.join('-');
  const plain = text
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/-{2,}/g, '-')
    .replace(/^[^a-z]+|-+$/g, '');
  if (plain === text && plain.length <= longestName) return plain;
  return `${plain.slice(0, longestName - digestLength - 1).replace(/-+$/, '') || 'x'}-${digestOf(text)}`;
}

/** A label's value for any text. */
export function labelValue(text: string): string {
  return /^[a-zA-Z0-9]([\w.-]{0,61}[a-zA-Z0-9])?$/.test(text) ? text : objectName(text);
}

export const digestOf = (text: string, length = digestLength): string => createHash('sha256').update(text).digest('hex').slice(0, length);

export const selectorOf = (wanted: { readonly [label: string]: string }): string =>
  Object.entries(wanted)
    .map(([name, value]) => `${name}=${value}`)
    .join(',');

export const ownSelector = selectorOf({ [labels.managedBy]: fieldManager });

export const deploymentOf = ({ metadata }: KubernetesObject): string =>
  metadata.annotations?.[annotations.deploymentId] ?? metadata.labels?.[labels.deployment] ?? 'unknown';

/** How long an owner on another machine may be silent before what it made counts as left behind: ten missed renewals. */
export const renewEveryMs = 60_000;
const silentOwnerMs = 10 * renewEveryMs;

/**
 * Whether nobody looks after an object any more. Pids mean something on one machine only, so an owner elsewhere is judged by
 * its last sign of life: `renewedAt` of its deployment, epoch ms; without one it is left alone.
 */
export function isAbandoned(object: KubernetesObject, renewedAt: number | undefined, nowMs: number): boolean {
  const owner = ownerOf(object);
  if (owner === null) return false;
  const state = ownerState(owner);
  if (state !== 'unknown') return state === 'dead';
  return renewedAt !== undefined && nowMs - renewedAt > silentOwnerMs;
}

export function ownerOf({ metadata }: KubernetesObject): LeaseOwner | null {
  try {
    return JSON.parse(metadata.annotations?.[annotations.owner] ?? '') as LeaseOwner;
  } catch {
    return null;
  }
}
