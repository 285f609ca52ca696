import { isObject, type JsonObject } from '../state/json.ts';
import type { Fault } from './faults.ts';
import { noSuchPath } from './status.ts';
import type { World } from './world.ts';

/** What a test in another process asks of the stand-in itself. */
export function control(world: World, method: string, path: string, body: Buffer): JsonObject {
  const said: unknown = body.length > 0 ? JSON.parse(body.toString('utf8')) : {};
  switch (`${method} ${path}`) {
    case 'POST /stand-in/faults':
      world.faults.add(said as Fault);
      return {};
    case 'DELETE /stand-in/faults':
      world.faults.clear();
      return {};
    case 'POST /stand-in/images':
      for (const [name, folder] of Object.entries(isObject(said) ? said : {})) world.images.set(name, String(folder));
      world.wake();
      return {};
    case 'POST /stand-in/drop-watches':
      world.dropWatches();
      return {};
    case 'POST /stand-in/compact':
      world.store.compact();
      return {};
    default:
      throw noSuchPath();
  }
}
