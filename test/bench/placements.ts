/**
 * The same answers over all allowed partitions times every protocol: `npm run bench:placements [-- --max 40
 * scenarios/weather-news …]`. Each layout is deployed for real, asked every input of every class, and held against
 * one component per unit. The last line is JSON.
 */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { onePerComponent } from '../../compiler/contracts/index.ts';
import {
  type Application,
  configurationOf,
  coverInputOf,
  describeCase,
  examples,
  openBench,
  scenarioFolder,
  uniform,
  wires,
} from '../placements/deploy.ts';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { max: { type: 'string', default: '100000' } } });
const most = Number(values.max);

interface Row {
  readonly name: string;
  readonly layouts: number;
  readonly answers: number;
  readonly differences: number;
}

async function compare(folder: string): Promise<Row> {
  const bench = await openBench(resolve(folder, 'scenario.yaml'));
  try {
    const { project } = bench;
    const requests = project.workload.classes.flatMap(({ name, inputs }) => inputs.map((input, n) => ({ id: `${name}-${n}`, input })));
    const answersOf = (application: Application) =>
      Promise.all(requests.map(async (request) => JSON.stringify(await application.ask(request))));
    const reference = await bench.with(onePerComponent(project.workflow, project.defaults), answersOf);
    // Protocols make no difference where nothing crosses, so those layouts come once.
    const layouts = coverInputOf(project)
      .partitions.flatMap((groups) => Object.keys(wires).map((wire) => uniform(project, groups, wire)))
      .filter((layout, index) => Object.keys(layout.channels).length > 0 || index % Object.keys(wires).length === 0)
      .slice(0, most);
    let answers = 0;
    let differences = 0;
    for (const [index, layout] of layouts.entries()) {
      const found = await bench.with(configurationOf(project, layout), answersOf);
      const wrong = found.filter((answer, n) => answer !== reference[n]).length;
      answers += found.length;
      differences += wrong;
      if (wrong > 0) console.log(`${project.scenario.name}: ${wrong} answers differ in ${describeCase(layout)}`);
      if ((index + 1) % 10 === 0) console.log(`${project.scenario.name}: ${index + 1} of ${layouts.length} layouts`);
    }
    return { name: project.scenario.name, layouts: layouts.length, answers, differences };
  } finally {
    await bench.close();
  }
}

const folders = positionals.length > 0 ? positionals : examples.map(scenarioFolder);
const scenarios: Row[] = [];
for (const folder of folders) scenarios.push(await compare(folder));
console.log(JSON.stringify({ scenarios }));
process.exitCode = scenarios.some((row) => row.differences > 0) ? 1 : 0;
