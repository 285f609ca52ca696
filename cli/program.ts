import { Command, InvalidArgumentError, Option } from 'commander';
import { exitCodes } from '../compiler/contracts/errors.ts';
import { durationMs } from './duration.ts';
import { toolVersion } from './package-files.ts';

type SetCode = (code: number) => void;

/** A parser of whole numbers from `least` on. */
const whole = (least: number) => (text: string) => {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < least)
    throw new InvalidArgumentError(`a whole number from ${least} on is needed.`);
  return value;
};
const money = (text: string) => {
  const value = Number(text.replace(/usd$/i, '').trim() || Number.NaN);
  if (!Number.isFinite(value) || value < 0) throw new InvalidArgumentError('an amount such as 2.50 or 2.50usd is needed.');
  return value;
};
const duration = (text: string) => {
  try {
    return durationMs(text);
  } catch {
    throw new InvalidArgumentError('a duration such as 500ms, 90s, 2m or 1h is needed.');
  }
};
const positive = (text: string) => {
  const value = Number(text.trim() || Number.NaN);
  if (!(value >= 0)) throw new InvalidArgumentError('a number of at least 0 is needed.');
  return value;
};
const progressOption = () =>
  new Option('--progress <mode>', 'how to show progress').choices(['auto', 'tty', 'plain', 'ndjson', 'quiet']).default('auto');
const shareOf = (text: string) => {
  const value = text.endsWith('%') ? Number(text.slice(0, -1).trim() || Number.NaN) / 100 : Number(text.trim() || Number.NaN);
  if (!(value > 0 && value <= 1)) throw new InvalidArgumentError('a share such as 10% or 0.1 is needed.');
  return value;
};
const shareOrNone = (text: string) => (Number(text) === 0 && text.trim() !== '' ? 0 : shareOf(text));
/** Collects an option that may be repeated. */
const each = (text: string, before: readonly string[] = []) => [...before, text];
const runsOption = () => new Option('--runs <folder>', 'folder of all runs').default('.dmas-opt/runs').env('DMAS_OPT_RUNS');

/** Declares the command line. What a command does is imported when it runs, so that --help stays instant. */
export function createProgram(setCode: SetCode): Command {
  const program = new Command('dmas-opt')
    .description('Finds the cheapest and fastest way to deploy a multi-agent application, by experiment.')
    .version(toolVersion(), '-V, --version')
    .showHelpAfterError('(dmas-opt help shows every command)')
    .configureHelp({ sortSubcommands: false })
    .exitOverride();
  const command = (usage: string, summary: string) => program.command(usage).description(summary).exitOverride();

  command('init [folder]', 'write a scenario that runs')
    .option('--example <name>', 'example to copy', 'weather-news')
    .option('--force', 'overwrite what is there')
    .action(async (folder, options) => setCode(await (await import('./commands/init.ts')).init(folder ?? '.', options)));

  command('analyze <traces...>', 'say from traces alone what a layout could change: files (OTLP or Jaeger JSON), or otlp to listen')
    .option('--out <folder>', 'where the analysis goes', '.dmas-opt/analysis')
    .option('--json', 'print it as JSON')
    .option('--for <duration>', 'how long to listen, e.g. 30s; default: until Ctrl-C', duration)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--http-port <n>', 'port for OTLP over HTTP', whole(0), 4318)
    .option('--grpc-port <n>', 'port for OTLP over gRPC', whole(0), 4317)
    .option('--sampled <share>', 'share of all requests that was traced, e.g. 10%', shareOf)
    .option('--prices <scenario>', 'scenario file whose prices count')
    .option('--model-price <price>', 'USD per million tokens, in/out or in/out/cached, e.g. gpt-4o=2.5/10; may be repeated', each)
    .option('--seed <n>', 'seed of what is sampled', whole(0), 1)
    .addOption(progressOption())
    .action(async (traces, options) => setCode(await (await import('./commands/analyze.ts')).analyze(traces, options)));

  command(
    'import <sources...>',
    'write a draft scenario from traces (or otlp to listen), agent cards, a compose file, langgraph.json or kubernetes:<namespace>',
  )
    .option('--out <folder>', 'where to', 'imported')
    .option('--force', 'overwrite what is there')
    .option('--for <duration>', 'how long to listen, e.g. 30s; default: until Ctrl-C', duration)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--http-port <n>', 'port for OTLP over HTTP', whole(0), 4318)
    .option('--grpc-port <n>', 'port for OTLP over gRPC', whole(0), 4317)
    .action(async (sources, options) => setCode(await (await import('./commands/import.ts')).importSystem(sources, options)));

  command('validate <scenario>', 'check a scenario and its workflow; nothing is started')
    .option('--print', 'print the effective scenario with defaults filled in')
    .action(async (file, options) => setCode(await (await import('./commands/validate.ts')).validate(file, options)));

  command('compile <scenario>', 'write the bundles, entries and plan of a layout')
    .option('--out <folder>', 'where to', 'build')
    .option('--layout <layout>', 'baseline, all-in-one, one-per-agent, or a JSON file with a configuration', 'baseline')
    .option('--target <id>', 'target instead of the scenario’s')
    .action(async (file, options) => setCode(await (await import('./commands/compile.ts')).compile(file, options)));

  command('plan <scenario>', 'show what a run would do: layouts, protocols, blocks, time and money')
    .option('--layout <layout>', 'layout to show beside the baseline; default: all-in-one, or one-per-agent where that is forbidden')
    .option('--target <id>', 'target instead of the scenario’s')
    .option('--json', 'print as JSON')
    .option('--detailed-exitcode', 'exit 2 when the layout differs from the baseline')
    .option('--traces <files...>', 'traces in which to look for places outside that nobody declares')
    .action(async (file, options) => setCode(await (await import('./commands/plan.ts')).plan(file, options)));

  command('run <scenario>', 'the whole loop: compile, deploy, measure, search, redeploy, decide, report')
    .option('--target <id>', 'target instead of the scenario’s')
    .option('--seed <n>', 'seed instead of the scenario’s', whole(0))
    .option('--max-time <duration>', 'stop cleanly after this long, e.g. 90s', duration)
    .option('--max-trials <n>', 'deploy at most this many layouts', whole(1))
    .option('--max-cost <usd>', 'stop cleanly before more is spent', money)
    .option('--max-gpu-hours <hours>', 'stop cleanly before deployments hold GPUs for longer', positive)
    .option('--keep', 'leave the best layout serving at the end')
    .addOption(runsOption())
    .addOption(progressOption())
    .action(async (file, options) => setCode(await (await import('./commands/run.ts')).run(file, options)));

  command('record <scenario>', 'run the baseline on the real models once and record what is asked and answered')
    .option('--target <id>', 'target instead of the scenario’s')
    .option('--out <file>', 'cassette to add to; default: record.file of the scenario')
    .option('--passes <n>', 'how often each input is sent', whole(1), 1)
    .addOption(progressOption())
    .action(async (file, options) => setCode(await (await import('./commands/record.ts')).record(file, options)));

  const cassette = command('cassette', 'merge, show and check cassettes of recorded replies');
  const ofCassette = (usage: string, summary: string) => cassette.command(usage).description(summary).exitOverride();
  ofCassette('merge <files...>', 'write the union of cassettes')
    .requiredOption('-o, --out <file>', 'where to')
    .action(async (files, options) => setCode(await (await import('./commands/cassette.ts')).mergeCassettes(files, options)));
  ofCassette('show <file>', 'say what a cassette holds, without content')
    .option('--json', 'print as JSON')
    .action(async (file, options) => setCode(await (await import('./commands/cassette.ts')).showCassette(file, options)));
  ofCassette('check <file>', 'read every line and name those that cannot be relied on').action(async (file) =>
    setCode(await (await import('./commands/cassette.ts')).checkCassette(file)),
  );

  const llm = command('llm', 'serving engines: fit hardware profiles, replay logs');
  const ofLlm = (usage: string, summary: string) => llm.command(usage).description(summary).exitOverride();
  ofLlm('fit <source>', 'write a hardware profile from operator timings (folder), a request log (.jsonl) or an endpoint (URL)')
    .option('-o, --out <file>', 'where to')
    .option('--json', 'print the profile as JSON')
    .option('--name <name>', 'name of the profile')
    .option('--gpu <name>', 'GPU it is for')
    .option('--model <name>', 'model it is for; the name on the wire of an endpoint')
    .option('--engine-args <args>', 'of a log: name=value,… or the meta.json of the run; may be repeated', each)
    .option('--host-ms <ms>', 'of timings: work of the host per step', positive, 0)
    .option('--max-prompt <tokens>', 'of an endpoint: longest prompt to ask with', whole(16), 1024)
    .option('--max-reply <tokens>', 'of an endpoint: longest reply to ask for', whole(4), 48)
    .option('--max-concurrency <n>', 'of an endpoint: most requests in flight', whole(1), 16)
    .option('--repeats <n>', 'of an endpoint: how often each round is measured', whole(1), 2)
    .option('--for <duration>', 'of an endpoint: no round begins after this long', duration, 120_000)
    .option('--key-env <name>', 'of an endpoint: environment variable that holds its key')
    .option('--seed <n>', 'of an endpoint: seed of what is asked', whole(0), 1)
    .action(async (source, options) => setCode(await (await import('./commands/llm/fit.ts')).fitProfile(source, options)));
  ofLlm('replay', 'send a request log through the simulated engine and print how far it is from what was logged')
    .requiredOption('--profile <profile>', 'folder of operator timings, name of a hardware profile, or its file')
    .requiredOption('--requests <file>', 'requests.jsonl')
    .option('--engine-args <args>', 'meta.json of the run (default: beside the requests), or maxNumSeqs=64,kvBlocks=2588,…')
    .option('--cached-share <share>', 'part of each prompt that was in the prefix cache, where the log does not say', shareOrNone)
    .option('--json', 'print as JSON')
    .action(async (options) => setCode(await (await import('./commands/llm.ts')).llmReplay(options)));

  const load = command('load', 'fit arrivals and agent sessions from logs');
  const ofLoad = (usage: string, summary: string) =>
    load
      .command(usage)
      .description(summary)
      .exitOverride()
      .option('--json', 'print as JSON')
      .option('--seed <n>', 'seed of what is drawn to compare with', whole(0), 1);
  ofLoad('arrivals <log>', 'say which arrival process a log of arrivals looks like, and how far from it it is').action(
    async (file, options) => setCode(await (await import('./commands/load.ts')).fitArrivalLog(file, options)),
  );
  ofLoad('sessions <log>', 'describe a log of agent sessions in a few hundred numbers, to draw sessions like them')
    .option('--out <file>', 'write the description there, for process: sessions')
    .action(async (file, options) => setCode(await (await import('./commands/load.ts')).fitSessionLog(file, options)));

  command('resume [run]', 'go on with a run that was stopped; nothing finished is repeated')
    .option('--keep', 'leave the best layout serving at the end')
    .addOption(runsOption())
    .addOption(progressOption())
    .action(async (run, options) => setCode(await (await import('./commands/resume.ts')).resume(run, options)));

  command('deploy <scenario>', 'deploy one layout and keep it up until Ctrl-C')
    .option('--layout <layout>', 'baseline, all-in-one, one-per-agent, or a JSON file with a configuration', 'baseline')
    .option('--target <id>', 'target instead of the scenario’s')
    .option('--port <n>', 'port of the ingress', whole(0))
    .action(async (file, options) => setCode(await (await import('./commands/deploy.ts')).deploy(file, options)));

  command('apply <layout>', 'move a running deployment to a layout (a run, a name or a JSON file) without dropping a request')
    .option('--deployment <id>', 'which running deployment; default: the only one')
    .option('--trial <n>', 'trial of the run; default: what the run decided for', whole(0))
    .option(
      '--watch <duration>',
      'how long the old layout stands by while limits are watched; 0 keeps the new one at once',
      duration,
      60_000,
    )
    .option('--dry-run', 'only show what would change')
    .option('--gitops <folder>', 'write the files of the layout of a run there instead, for a pull request')
    .option('--format <id>', 'with --gitops: format of the files, as export names them', 'kubernetes')
    .option('--yes', 'do not ask')
    .addOption(
      new Option('--inconclusive <what>', 'when there is too little traffic to tell: pass keeps the new layout, fail goes back')
        .choices(['pass', 'fail'])
        .default('pass'),
    )
    .addOption(runsOption())
    .action(async (layout, options) => setCode(await (await import('./commands/apply.ts')).apply(layout, options)));

  command('verify [run]', 'measure a running deployment again and hold it against what the run reported of its layout')
    .option('--deployment <id>', 'which running deployment; default: the only one of that application')
    .option('--url <url>', 'where the application answers, when dmas-opt did not deploy it')
    .option('--trial <n>', 'with --url: which trial of the run it is; default: what the run decided for', whole(0))
    .option('--allow-side-effects', 'tools with side effects may really run')
    .option('--json', 'print as JSON')
    .addOption(runsOption())
    .action(async (run, options) => setCode(await (await import('./commands/verify.ts')).verify(run, options)));

  command('trial <scenario> <layouts...>', 'deploy and measure given layouts beside the baseline')
    .option('--target <id>', 'target instead of the scenario’s')
    .addOption(runsOption())
    .addOption(progressOption())
    .action(async (file, layouts, options) => setCode(await (await import('./commands/trial.ts')).trial(file, layouts, options)));

  command('report [run]', 'write the report of a run again, from what it stored')
    .option('--format <ids...>', 'views to write; default: all')
    .option('--out <folder>', 'where to; default: the run folder')
    .addOption(runsOption())
    .action(async (run, options) => setCode(await (await import('./commands/report.ts')).report(run, options)));

  command('export [run]', 'write the best layout of a run, or another, as files that run without dmas-opt')
    .option('--format <id>', 'what to write; see --list')
    .option('--trial <n>', 'a trial of the run instead of its best layout', whole(0))
    .option('--layout <layout>', 'baseline, all-in-one, one-per-agent, or a JSON file with a configuration')
    .option('--out <folder>', 'where to; default: <scenario>-<format>')
    .option('--set <option=value>', 'an option of the format; may be repeated', each)
    .option('--force', 'overwrite what is there')
    .option('--list', 'list the formats')
    .addOption(runsOption())
    .action(async (run, options) => setCode(await (await import('./commands/export.ts')).exportLayout(run, options)));

  command('list', 'list the runs')
    .option('--json', 'print as JSON')
    .addOption(runsOption())
    .action(async (options) => setCode(await (await import('./commands/list.ts')).list(options)));

  command('show [run]', 'show what a run found')
    .option('--trial <n>', 'one trial in full', whole(0))
    .option('--json', 'print as JSON')
    .addOption(runsOption())
    .action(async (run, options) => setCode(await (await import('./commands/show.ts')).show(run, options)));

  command('doctor [scenario]', 'check what this machine and the models of a scenario can do, and find what dead runs left behind')
    .option('--clean', 'remove what dead runs left behind')
    .option('--offline', 'ask no model endpoint; else each gets three questions of two words')
    .option('--json', 'print as JSON')
    .action(async (file, options) => setCode(await (await import('./commands/doctor.ts')).doctor(file, options)));

  command('schema', 'print the JSON Schema of the scenario file').action(async () =>
    setCode(await (await import('./commands/schema.ts')).schema()),
  );

  command('explain <code>', 'say what an error code means').action(async (code) =>
    setCode(await (await import('./commands/explain.ts')).explain(code)),
  );

  program.addHelpText(
    'after',
    `
Examples:
  dmas-opt init my-app && dmas-opt run my-app/scenario.yaml
  dmas-opt analyze traces.json
  dmas-opt plan scenario.yaml
  dmas-opt resume

Exit codes:
  ${exitCodes.success} done  ${exitCodes.unexpected} bug  ${exitCodes.differences} differences  ${exitCodes.invalidInput} invalid input  ${exitCodes.environmentNotReady} environment not ready  ${exitCodes.allTrialsFailed} all trials failed
  ${exitCodes.assertionFailed} assertion failed  ${exitCodes.regression} regression  ${exitCodes.inconclusive} inconclusive  ${exitCodes.capped} stopped by a cap  ${exitCodes.interrupted} interrupted`,
  );
  return program;
}
