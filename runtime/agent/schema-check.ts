import type { z } from 'zod';
import { CallError } from '../../compiler/contracts/call-errors.ts';

/**
 * The value as its schema gives it back: a copy of all that the schema describes.
 *
 * @throws CallError `invalid` that lists what is wrong and where.
 */
export function check<T>(
  schema: z.ZodType<T>,
  value: unknown,
  component: string,
  what: 'input' | 'output' | 'message' | 'chunk' | 'state',
): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => ({ path: path.map(String).join('.'), message }));
  const listed = issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ');
  throw new CallError({
    code: 'invalid',
    message: `the ${what} of ${component} does not fit its schema: ${listed}`,
    component,
    details: issues,
  });
}
