import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, extname, relative, resolve } from 'node:path';
import { didYouMean } from '../contracts/suggest.ts';
import { textSource } from './declared/read.ts';
import type { Frontend, FrontendDescriptor, Manifest, ReadResult } from './frontend.ts';
import { loadSource } from './source/load.ts';

export interface WorkflowRequest {
  /** `./workflow.ts`, `./workflow.ts#export` or `./workflow.yaml`, as the scenario says it. */
  readonly specifier: string;
  /** Folder the path is relative to. */
  readonly folder: string;
  readonly frontends: readonly FrontendDescriptor[];
  /** Logical model names the scenario binds; undefined leaves that check out. */
  readonly boundModels?: readonly string[];
  /** Models of the scenario, in its order, for frontends whose code names none. */
  readonly models?: readonly string[];
}

/** Loads the user's module and reads the workflow from it with the frontend that knows it. Throws nothing of the user's. */
export async function readWorkflow(request: WorkflowRequest): Promise<ReadResult> {
  const [path = '', wanted] = request.specifier.split('#');
  const file = resolve(request.folder, path);
  if (!existsSync(file)) {
    const message = `the workflow file ${path} does not exist`;
    return { workflow: undefined, problems: [{ code: 'DMAS_FILE_UNREADABLE', severity: 'error', message, at: { file } }] };
  }
  const extension = extname(file);
  const isText = extension === '.yaml' || extension === '.yml';
  const frontends = await Promise.all(
    request.frontends.filter(({ traits }) => !isText || traits.extensions.includes(extension)).map((descriptor) => descriptor.load()),
  );
  const reader = frontends.find((candidate) => candidate.manifests?.includes(basename(file)));
  if (reader?.readManifest === undefined) return readModule(request, frontends, file, path, wanted);
  const { manifest, problems } = await reader.readManifest(file, wanted);
  if (manifest === undefined) return { workflow: undefined, problems };
  // The module may read them while it is loaded, and units are given the ones they may see from here.
  for (const [variable, value] of Object.entries(manifest.environment)) process.env[variable] ??= value;
  return readModule(request, frontends, manifest.file, relative(request.folder, manifest.file), manifest.exportName, manifest);
}

async function readModule(
  request: WorkflowRequest,
  frontends: readonly Frontend[],
  file: string,
  path: string,
  wanted: string | undefined,
  manifest?: Manifest,
): Promise<ReadResult> {
  const { source, problems } = await sourceOf(file);
  const exports = source?.modules[0]?.exports;
  if (source === undefined || exports === undefined) return { workflow: undefined, problems };
  // A named export wins over the others, then `default`, then the only one there is.
  const known = Object.keys(exports).filter((name) => frontends.some((frontend) => frontend.detect(exports[name])));
  const exportName = wanted ?? (known.includes('default') ? 'default' : known.length === 1 ? known[0] : undefined);
  const frontend = frontends.find((candidate) => exportName !== undefined && candidate.detect(exports[exportName]));
  if (exportName === undefined || frontend === undefined) {
    const guess = wanted === undefined ? undefined : didYouMean(wanted, known);
    const message =
      wanted !== undefined
        ? `${path} exports no workflow named "${wanted}"`
        : known.length > 1
          ? `${path} exports several workflows; pick one with ${path}#name`
          : `${path} exports no workflow`;
    const suggestion = { ...(known.length > 0 ? { allowed: known } : {}), ...(guess === undefined ? {} : { didYouMean: guess }) };
    return {
      workflow: undefined,
      problems: [{ code: 'DMAS_WF_NO_WORKFLOW', severity: 'error', message, at: { file }, ...suggestion }],
    };
  }
  const { boundModels, models } = request;
  return frontend.read({
    source,
    exportName,
    ...(boundModels === undefined ? {} : { boundModels }),
    ...(models === undefined ? {} : { models }),
    ...(manifest === undefined ? {} : { manifest }),
  });
}

/** A described workflow is text; everything else is code. */
const sourceOf = async (file: string): Promise<Awaited<ReturnType<typeof loadSource>>> =>
  /\.ya?ml$/.test(file) ? { source: textSource(file, dirname(file), await readFile(file, 'utf8')), problems: [] } : loadSource(file);
