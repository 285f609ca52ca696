/** Appends entries to the cassette it is told of until it is killed; says the number of each once it is written. */
import { writeSync } from 'node:fs';
import { openCassetteWriter } from '../../../runtime/replay/cassette-writer.ts';
import { modelEntry } from './support.ts';

const writer = openCassetteWriter(process.argv[2] ?? '');
for (let n = 1; ; n++) {
  writer.append(modelEntry(`key ${n}`, 'text '.repeat(200), { occurrence: n }));
  writeSync(1, `${n}\n`);
  if (n % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
}
