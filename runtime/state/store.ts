import type { Descriptor, Literal, StateTraits } from '../../compiler/contracts/index.ts';

/** Versioned values under keys; the version makes `update` atomic by compare-and-swap. Values are JSON. */
export interface StateStore {
  get(key: string): Promise<Versioned | undefined>;
  /** Writes when the present version equals `expected` (0: absent; undefined: whatever). False when it does not. */
  put(key: string, value: unknown, expected?: number): Promise<boolean>;
  delete(key: string): Promise<void>;
  close(): Promise<void>;
}

export interface Versioned {
  readonly value: unknown;
  readonly version: number;
}

export interface StateStoreFactory {
  open(folder: string, options: { readonly [option: string]: Literal }): Promise<StateStore>;
}

export type StateStoreDescriptor = Descriptor<'stateStore', StateTraits, StateStoreFactory>;
export const defineStateStore = (descriptor: Omit<StateStoreDescriptor, 'kind'>): StateStoreDescriptor => ({
  kind: 'stateStore',
  ...descriptor,
});
