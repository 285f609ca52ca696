import { mkdir } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { fail, type ProtocolPrice, type TraceDigest } from '../../compiler/contracts/index.ts';
import { adviseOn, needsHopPrices } from '../../optimizer/advice.ts';
import { digestTraces } from '../../profiler/analyze/digest.ts';
import { analysisMarkdown } from '../../reports/analysis/markdown.ts';
import { analysisPage } from '../../reports/analysis/page.ts';
import type { Analysis } from '../../reports/analysis.ts';
import { measureProtocolPrices } from '../../runtime/protocols/prices.ts';
import { withScratchFolder } from '../../runtime/targets/process/scratch.ts';
import { listenForInterrupt } from '../interrupt.ts';
import { toolVersion } from '../package-files.ts';
import { protocols } from '../registry.ts';
import { renderAnalysis } from '../render/analysis.ts';
import { createProgress, type ProgressMode, resultOutput } from '../render/progress.ts';
import { writeJson, writeWhole } from '../run-folder.ts';
import { tracePrices } from '../trace-prices.ts';

export interface AnalyzeOptions {
  readonly out: string;
  readonly json?: boolean;
  /** How long to listen, in ms; until Ctrl-C without. */
  readonly for?: number;
  readonly host: string;
  readonly httpPort: number;
  readonly grpcPort: number;
  /** Share of requests that was traced. */
  readonly sampled?: number;
  /** A scenario whose `prices` count. */
  readonly prices?: string;
  readonly modelPrice?: readonly string[];
  readonly seed: number;
  readonly progress: ProgressMode;
}

/** What `--help` shows for the word that means: listen for traces instead of reading them. */
export const live = 'otlp';
const marginShare = 0.03;

/** Says from traces alone where time and money go and what a layout could change. Nothing is deployed. */
export async function analyze(inputs: readonly string[], options: AnalyzeOptions): Promise<number> {
  if (inputs.includes(live) && inputs.length > 1)
    fail('DMAS_CLI_USAGE', `${live} listens for traces, so it stands alone`, { fix: `dmas-opt analyze ${live}, or the files without it` });
  const pricing = await tracePrices(options.prices, options.modelPrice ?? []);
  const progress = createProgress(options.json ? 'quiet' : options.progress);
  const say = (message: string) => progress.emit({ type: 'notice', severity: 'info', message });
  const interrupt = listenForInterrupt(() => say('ending the reading; what came in so far is analyzed'));
  try {
    const context = { signal: interrupt.signal, seed: options.seed };
    if (inputs[0] === live) {
      const until = options.for === undefined ? 'until Ctrl-C' : `for ${options.for / 1000} s`;
      say(`listening for OTLP on ${options.host}: HTTP ${options.httpPort}, gRPC ${options.grpcPort}, ${until}`);
    }
    const digest = await digestTraces(sourcesOf(inputs, options), {}, context);
    for (const source of digest.sources)
      for (const { reason, count, firstAt } of source.reasons)
        progress.emit({
          type: 'notice',
          severity: 'warning',
          message: `${source.name}: ${count} not used: ${reason} (first at ${firstAt})`,
        });
    const analysis = adviseOn(
      {
        digest,
        pricing,
        protocolPrices: await hopPrices(digest),
        sampledShare: options.sampled ?? null,
        toolVersion: toolVersion(),
        inputs,
        marginShare,
      },
      // Ctrl-C ended the listening; what is left takes a second.
      { signal: new AbortController().signal, seed: options.seed },
    );
    const folder = resolve(options.out);
    await writeAnalysis(folder, analysis);
    progress.close();
    const page = relative(process.cwd(), join(folder, 'analysis.html')) || folder;
    if (options.json) process.stdout.write(`${JSON.stringify(analysis, null, 2)}\n`);
    else resultOutput(options.progress).write(renderAnalysis(analysis, page));
    return 0;
  } finally {
    interrupt.dispose();
    progress.close();
  }
}

function sourcesOf(
  inputs: readonly string[],
  { host, httpPort, grpcPort, for: forMs }: AnalyzeOptions,
): Parameters<typeof digestTraces>[0] {
  if (inputs[0] === live) return [{ kind: 'live', host, httpPort, grpcPort, seconds: forMs === undefined ? null : forMs / 1000 }];
  return inputs.map((path) => ({ kind: 'file', path }));
}

/** Of plain HTTP and gRPC on this machine, where some hop was timed by nobody; it takes seconds, so only then. */
async function hopPrices(digest: TraceDigest): Promise<readonly ProtocolPrice[]> {
  if (!needsHopPrices(digest)) return [];
  const wanted = protocols.filter(({ id }) => id === 'http-json' || id === 'grpc');
  return withScratchFolder('prices', (scratch) => measureProtocolPrices(wanted, undefined, scratch));
}

async function writeAnalysis(folder: string, analysis: Analysis): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause: NodeJS.ErrnoException) =>
    fail('DMAS_ENV_DISK', `${folder} could not be written (${cause.code})`, { cause, fix: 'Choose another folder with --out.' }),
  );
  await writeJson(join(folder, 'analysis.json'), analysis);
  await writeWhole(join(folder, 'analysis.html'), analysisPage(analysis));
  await writeWhole(join(folder, 'analysis.md'), analysisMarkdown(analysis));
}
