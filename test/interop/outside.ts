import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';

/** This machine as others see it: none of its loopback addresses, which never are outside. */
export const here = Object.values(networkInterfaces())
  .flat()
  .find((face) => face?.family === 'IPv4' && !face.internal)?.address;

export interface Speaker {
  readonly url: string;
  readonly place: string;
  close(): void;
}

/** Somebody outside who says a name. */
export async function speaker(name: string): Promise<Speaker> {
  const server: Server = createServer((_, response) => response.writeHead(200, { connection: 'close' }).end(name));
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  const address = server.address();
  const place = `${here}:${typeof address === 'object' && address !== null ? address.port : 0}`;
  return { url: `http://${place}/`, place, close: () => void server.close() };
}

/** A scenario of the workflow `outside`, in which `caller` may call the first of two places and `neighbour` the second. */
export function outsideScenario(folder: string, places: readonly [string, string], target: object): string {
  const file = join(folder, 'scenario.yaml');
  const scenario = {
    name: 'outside',
    workflow: join(import.meta.dirname, '../fixtures/workflows/outside/workflow.ts'),
    target,
    rights: { hosts: { caller: [places[0]], neighbour: [places[1]] } },
    workload: { classes: { default: { arrivals: { process: 'poisson', perSecond: 1 }, inputs: [{ urls: [] }] } } },
    objective: { minimize: 'cost', slo: [] },
    seed: 1,
  };
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(scenario, null, 2));
  return file;
}
