import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Sample } from '../../compiler/contracts/measurement.ts';

/** The samples a driver wrote. A torn last line, as a killed driver leaves it, is skipped. */
export async function readSamples(file: string): Promise<Sample[]> {
  const samples: Sample[] = [];
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    try {
      samples.push(JSON.parse(line) as Sample);
    } catch {
      break;
    }
  }
  return samples;
}
