import { fail } from '../../../compiler/contracts/index.ts';

const diskErrors = new Set(['ENOSPC', 'EDQUOT', 'EROFS']);

/**
 * Tells a full or read-only disk from every other failure.
 * @throws DmasError DMAS_ENV_DISK when it is one
 */
export function failOnDisk(error: unknown): void {
  if (!(error instanceof Error) || !('code' in error) || !diskErrors.has(String(error.code))) return;
  fail('DMAS_ENV_DISK', `The disk is full or not writable: ${error.message}.`, { cause: error });
}
