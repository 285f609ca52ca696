import { readFileSync } from 'node:fs';

/** Text of a user's file for showing a place in it; undefined when it cannot be read any more. */
export function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
