import type { Descriptor, Problem, Workflow } from '../contracts/index.ts';
import type { LoadedSource } from './source/load.ts';

export interface FrontendTraits {
  /** Extensions of the files it reads, with the dot. */
  readonly extensions: readonly string[];
  /** Optional package that must be installed for it. */
  readonly peer: string | null;
}

/** Turns user code into the workflow. */
export interface Frontend {
  /** Whether an export of the loaded module is what this frontend reads. Called once per value, in any order. */
  detect(value: unknown): boolean;
  /** Called once, when an export was detected. Everything wrong comes back as problems; nothing is thrown. */
  read(request: ReadRequest): Promise<ReadResult>;
  /** Names of files that are no code but say where the code is. */
  readonly manifests?: readonly string[];
  /** Reads such a file; `pick` is what stands behind the `#`. */
  readManifest?(file: string, pick: string | undefined): Promise<ManifestResult>;
}

/** Where a manifest says the workflow is. */
export interface Manifest {
  /** Absolute path of the module. */
  readonly file: string;
  readonly exportName: string;
  /** What the manifest calls it. */
  readonly name: string;
  /** Variables the application reads, for those the environment does not have. */
  readonly environment: { readonly [variable: string]: string };
}

export interface ManifestResult {
  readonly manifest?: Manifest;
  readonly problems: readonly Problem[];
}

export interface ReadRequest {
  readonly source: LoadedSource;
  /** The detected export of the first module. */
  readonly exportName: string;
  /** Logical model names the scenario binds; undefined leaves that check out. */
  readonly boundModels?: readonly string[];
  /** Models of the scenario, in its order, for frontends whose code names none. */
  readonly models?: readonly string[];
  /** Present when a manifest led here. */
  readonly manifest?: Manifest;
}

export interface ReadResult {
  /** Absent when a problem is an error. */
  readonly workflow: Workflow | undefined;
  readonly problems: readonly Problem[];
}

export type FrontendDescriptor = Descriptor<'frontend', FrontendTraits, Frontend>;
export const defineFrontend = (descriptor: Omit<FrontendDescriptor, 'kind'>): FrontendDescriptor => ({ kind: 'frontend', ...descriptor });
