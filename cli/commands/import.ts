import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { fail, type TraceDigest } from '../../compiler/contracts/index.ts';
import { foundInAgentCard, looksLikeAgentCard } from '../../compiler/import/agent-card.ts';
import { foundInCompose, looksLikeCompose } from '../../compiler/import/compose.ts';
import { writeDraft } from '../../compiler/import/draft.ts';
import { type FoundSystem, scenarioName } from '../../compiler/import/found.ts';
import { type FoundGraph, guessGraphInput } from '../../compiler/import/graph-input.ts';
import { joinSystems } from '../../compiler/import/join.ts';
import { foundInNamespace } from '../../compiler/import/kubernetes.ts';
import { foundInLanggraphJson, looksLikeLanggraphJson } from '../../compiler/import/langgraph-json.ts';
import { foundInTraces } from '../../compiler/import/traces.ts';
import { inferWorkflow } from '../../profiler/analyze/infer-workflow.ts';
import { listenForInterrupt } from '../interrupt.ts';
import { packageFile } from '../package-files.ts';

export interface ImportOptions {
  readonly out: string;
  readonly force?: boolean;
  /** Where and how long to listen when a source is `otlp`; see `dmas-opt analyze`. */
  readonly for?: number;
  readonly host?: string;
  readonly httpPort?: number;
  readonly grpcPort?: number;
}

/** What one source gave. */
interface Found {
  readonly system?: FoundSystem;
  readonly graphs?: readonly FoundGraph[];
  readonly requestsPerSecond?: number;
}

/** Writes a draft scenario from what runs already; nothing is started and nothing that runs is touched. */
export async function importSystem(sources: readonly string[], options: ImportOptions): Promise<number> {
  const out = resolve(options.out);
  const found: Found[] = [];
  const traces: string[] = [];
  for (const source of sources) {
    const one = await readSource(source, out);
    if (one === 'traces') traces.push(source);
    else found.push(one);
  }
  if (traces.length > 0) found.push(await readTraces(traces, options));
  const systems = found.flatMap(({ system }) => (system === undefined ? [] : [system]));
  const graphs = found.flatMap((each) => each.graphs ?? []);
  const [graph, ...furtherGraphs] = graphs;
  const joined = joinSystems(systems);
  // Traces name no application; a graph has a name, and so has the folder.
  const named = systems.find((system) => system.name !== tracedName)?.name;
  const name = graph === undefined ? (named ?? scenarioFolderName(out)) : scenarioName(graph.id);
  const system: FoundSystem = {
    ...joined,
    name,
    questions: [
      ...joined.questions,
      ...furtherGraphs.map(({ specifier, id }) => ({
        about: id,
        text: `${specifier} is a graph of its own: import it into a folder of its own.`,
      })),
    ],
  };
  if (graph === undefined && system.components.length === 0)
    fail('DMAS_CLI_USAGE', `${sources.join(', ')} names nothing that could be an agent`, {
      fix: 'Give traces, an agent card, a compose file, a langgraph.json or kubernetes:<namespace> of the system you run.',
    });
  const rate = found.find((each) => each.requestsPerSecond !== undefined)?.requestsPerSecond;
  const draft = writeDraft({
    system,
    ...(graph === undefined ? {} : { graph }),
    ...(rate === undefined ? {} : { arrivalsPerSecond: rate }),
    schema: slashes(relative(out, packageFile('scenarios/scenario.schema.json'))),
    madeBy: `dmas-opt import ${sources.join(' ')}`,
  });
  await writeFiles(out, draft.files, options.force === true);
  const scenario = relative(process.cwd(), join(out, 'scenario.yaml')) || 'scenario.yaml';
  const open = draft.questions.map(({ text, place }) => `  - ${text}${place === undefined ? '' : ` (${place})`}\n`).join('');
  process.stdout.write(`Wrote ${scenario}\n${draft.questions.length > 0 ? `Open questions, also at the top of the file:\n${open}` : ''}`);
  process.stdout.write(`Next: dmas-opt validate ${scenario} && dmas-opt plan ${scenario}\nThen: dmas-opt run ${scenario}\n`);
  return 0;
}

async function writeFiles(out: string, files: { readonly [name: string]: string }, force: boolean): Promise<void> {
  await mkdir(out, { recursive: true });
  const clashes: string[] = [];
  for (const name of Object.keys(files))
    if (
      await stat(join(out, name)).then(
        () => true,
        () => false,
      )
    )
      clashes.push(name);
  if (clashes.length > 0 && !force)
    fail('DMAS_CLI_USAGE', `${relative(process.cwd(), out) || '.'} already has ${clashes.join(', ')}`, {
      fix: 'choose another folder with --out, or --force to overwrite',
    });
  for (const [name, text] of Object.entries(files)) await writeFile(join(out, name), text);
}

/** The word that means: listen for traces, as in `dmas-opt analyze otlp`. */
const live = 'otlp';

async function readSource(source: string, out: string): Promise<Found | 'traces'> {
  if (source === live) return 'traces';
  const [scheme, rest = ''] = source.split(/:(.*)/s);
  if (scheme === 'kubernetes' || scheme === 'k8s') {
    const { readNamespace } = await import('../read-namespace.ts');
    return { system: foundInNamespace(await readNamespace(rest)) };
  }
  if (/^https?:\/\//.test(source)) return { system: whole(source, foundInAgentCard(await fetchCard(source), source)) };
  const info = await stat(source).catch((error: NodeJS.ErrnoException) =>
    fail('DMAS_FILE_UNREADABLE', `${source}: ${error.code === 'ENOENT' ? 'no such file' : error.message}`),
  );
  if (info.isDirectory() || info.size > largestDocumentBytes) return 'traces';
  const text = await readFile(source, 'utf8');
  if (/\.ya?ml$/.test(source)) {
    const compose = foundInCompose(text, source, basename(dirname(resolve(source))));
    return { system: whole(source, compose) };
  }
  const value = parsedJson(text);
  if (looksLikeLanggraphJson(value)) return graphsOf(source, value, out);
  if (looksLikeAgentCard(value)) return { system: whole(source, foundInAgentCard(value, source)) };
  if (looksLikeCompose(value)) return { system: whole(source, foundInCompose(text, source, basename(dirname(resolve(source))))) };
  return 'traces';
}

/** Cards, compose files and langgraph.json are written by hand; what is larger can only be traces. */
const largestDocumentBytes = 4 * 1024 ** 2;

const tracedName = 'traced';

async function graphsOf(source: string, value: unknown, out: string): Promise<Found> {
  const found = foundInLanggraphJson(value, source);
  if ('problem' in found) return fail('DMAS_CLI_USAGE', `${source}: ${found.problem}`);
  const file = slashes(relative(out, resolve(source)));
  const graphs = await Promise.all(
    found.graphs.map(async ({ id, module }): Promise<FoundGraph> => {
      const code = await readFile(resolve(dirname(source), module), 'utf8').catch(() => '');
      return { id, specifier: `${file.startsWith('.') ? file : `./${file}`}#${id}`, input: guessGraphInput(code) };
    }),
  );
  return { graphs, ...(found.foreign.components.length > 0 ? { system: found.foreign } : {}) };
}

async function readTraces(paths: readonly string[], options: ImportOptions): Promise<Found> {
  const { host = '127.0.0.1', httpPort = 4318, grpcPort = 4317, for: forMs } = options;
  const interrupt = listenForInterrupt(() => process.stderr.write('ending the reading; the draft is of what came in so far\n'));
  if (paths.includes(live)) {
    const until = forMs === undefined ? 'until Ctrl-C' : `for ${forMs / 1000} s`;
    process.stderr.write(`listening for OTLP on ${host}: HTTP ${httpPort}, gRPC ${grpcPort}, ${until}\n`);
  }
  const { digestTraces } = await import('../../profiler/analyze/digest.ts');
  const digest: TraceDigest = await digestTraces(
    paths.map((path) =>
      path === live
        ? { kind: 'live', host, httpPort, grpcPort, seconds: forMs === undefined ? null : forMs / 1000 }
        : { kind: 'file', path },
    ),
    {},
    { signal: interrupt.signal, seed: 1 },
  ).finally(() => interrupt.dispose());
  const system = foundInTraces(inferWorkflow(digest), tracedName, paths.join(', '));
  const requests = digest.roots.reduce((sum, root) => sum + root.requests, 0);
  const seconds = digest.window?.seconds ?? 0;
  // Two figures say as much as a draft needs.
  return { system, ...(seconds > 0 && requests > 1 ? { requestsPerSecond: Number((requests / seconds).toPrecision(2)) } : {}) };
}

async function fetchCard(url: string): Promise<unknown> {
  const { request } = await import('undici');
  const card = /\.json$/.test(new URL(url).pathname) ? url : new URL('/.well-known/agent-card.json', url).href;
  try {
    const { statusCode, body } = await request(card, { headersTimeout: 10_000, bodyTimeout: 10_000 });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`HTTP status ${statusCode}`);
    return JSON.parse(text);
  } catch (error) {
    return fail('DMAS_FILE_UNREADABLE', `${card}: ${(error as Error).message}`, {
      fix: 'Check the URL, or save the card and import the file.',
    });
  }
}

function whole(source: string, found: FoundSystem | { readonly problem: string; readonly line?: number }): FoundSystem {
  if (!('problem' in found)) return found;
  return fail('DMAS_CLI_USAGE', `${source}${found.line === undefined ? '' : `:${found.line}`}: ${found.problem}`);
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const slashes = (path: string) => path.split(sep).join('/');
const scenarioFolderName = (folder: string) =>
  basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '') || 'imported';
