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
}

export interface ReadRequest {
  readonly source: LoadedSource;
  /** The detected export of the first module. */
  readonly exportName: string;
  /** Logical model names the scenario binds; undefined leaves that check out. */
  readonly boundModels?: readonly string[];
}

export interface ReadResult {
  /** Absent when a problem is an error. */
  readonly workflow: Workflow | undefined;
  readonly problems: readonly Problem[];
}

export type FrontendDescriptor = Descriptor<'frontend', FrontendTraits, Frontend>;
export const defineFrontend = (descriptor: Omit<FrontendDescriptor, 'kind'>): FrontendDescriptor => ({ kind: 'frontend', ...descriptor });
