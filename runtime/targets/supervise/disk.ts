import { fail, isDiskError } from '../../../compiler/contracts/index.ts';

/**
 * Tells a full or read-only disk from every other failure.
 * @throws DmasError DMAS_ENV_DISK when it is one
 */
export function failOnDisk(error: unknown): void {
  if (!isDiskError(error)) return;
  fail('DMAS_ENV_DISK', `The disk is full or not writable: ${error.message}.`, { cause: error });
}
