/**
 * The layers, as a machine-checked picture. Only value imports count: types may cross freely.
 *
 *   cli ─▶ optimizer, reports ─▶ profiler ─▶ compiler ─▶ scenarios
 *    └───▶ runtime ─▶ compiler
 *
 * compiler/contracts and runtime/llm/engine are leaves: they import nothing of ours and may be imported by all.
 */
const layer = (name) => `^${name}/`;
const leaves = '^(compiler/contracts|runtime/llm/engine)/';
/** A rule that `from` may import, of our own code, only what matches `allowed`. */
const only = (name, comment, from, allowed, pathNot) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from, ...(pathNot ? { pathNot } : {}) },
  to: { path: '^(cli|compiler|profiler|optimizer|runtime|scenarios|reports|test)/', pathNot: allowed },
});

export default {
  forbidden: [
    only(
      'contracts-are-a-leaf',
      'Everything depends on the contracts, so they depend on nothing of ours.',
      layer('compiler/contracts'),
      '^compiler/contracts/',
    ),
    only(
      'engine-is-a-leaf',
      'The serving engine is a pure function used by the server and by the predictor.',
      layer('runtime/llm/engine'),
      leaves,
    ),
    only('scenarios-are-lowest', 'The scenario knows no stage.', '^scenarios/[^/]+\\.ts$', `^scenarios/[^/]+\\.ts$|${leaves}`),
    only(
      'compiler-looks-down',
      'The compiler turns workflows into plans; it never runs them.',
      layer('compiler'),
      `^compiler/|^scenarios/[^/]+\\.ts$|${leaves}`,
      '^compiler/contracts/',
    ),
    only(
      'runtime-looks-to-compiler',
      'What runs inside a unit must not carry the optimizer or the profiler.',
      layer('runtime'),
      `^runtime/|^compiler/|${leaves}`,
      '^runtime/llm/engine/',
    ),
    only(
      'profiler-looks-down',
      'The profiler reads traces and load; it knows no deployment.',
      layer('profiler'),
      `^profiler/|^compiler/|^scenarios/[^/]+\\.ts$|${leaves}`,
    ),
    only(
      'optimizer-looks-down',
      'The optimizer measures through the arena it is handed; it knows no target.',
      layer('optimizer'),
      `^optimizer/|^profiler/|^compiler/|^scenarios/[^/]+\\.ts$|${leaves}`,
    ),
    only(
      'views-read-the-report',
      'A view reads the report value and calls nobody.',
      '^reports/(views|web)/',
      `^reports/(views|web|view\\.ts|report\\.ts|format)|${leaves}`,
    ),
    only(
      'reports-look-down',
      'Reports are built from a study.',
      layer('reports'),
      `^reports/|^profiler/|^compiler/|^scenarios/[^/]+\\.ts$|${leaves}`,
      '^reports/(views|web)/',
    ),
    only(
      'examples-use-the-package',
      'An example may import the published package only.',
      '^scenarios/[^/]+/',
      '^scenarios/|^compiler/api/index\\.ts$',
    ),
    {
      name: 'nobody-imports-cli',
      comment: 'The command line joins the parts; a part that needs it is in the wrong place.',
      severity: 'error',
      from: { pathNot: '^(cli|test)/' },
      to: { path: layer('cli') },
    },
    {
      name: 'nobody-imports-tests',
      severity: 'error',
      comment: 'Tests may use everything; nothing uses tests.',
      from: { pathNot: layer('test') },
      to: { path: layer('test') },
    },
    {
      name: 'only-named-places-touch-the-world',
      comment: 'Files, child processes and sockets are opened in these folders and nowhere else, so the rest stays pure.',
      severity: 'error',
      from: {
        pathNot:
          '^(cli|test|runtime|profiler/(load|collect|store))/|^scenarios/(load\\.ts|[^/]+/)|^compiler/(bundle|frontends)|^optimizer/(journal|study/lock)|^reports/write\\.ts',
      },
      to: { path: '^(node:)?(fs|fs/promises|child_process|net|http|https|http2|dgram|worker_threads)$' },
    },
    {
      name: 'heavy-packages-are-lazy',
      comment: 'These cost 50 to 500 ms to import or are optional, so they are imported where they are used, when they are used.',
      severity: 'error',
      from: { pathNot: '^test/|^runtime/targets/docker/|^runtime/protocols/grpc/|^runtime/agent/langgraph' },
      to: { path: '^node_modules/(dockerode|@grpc|@langchain|autocannon|tar-stream)/', dynamic: false },
    },
    { name: 'no-cycles', comment: 'A cycle hides which part comes first.', severity: 'error', from: {}, to: { circular: true } },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: false,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|node_modules|test/fixtures)/' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.mjs', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
    },
  },
};
