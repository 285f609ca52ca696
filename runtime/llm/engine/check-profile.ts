import type { HardwareProfile } from './hardware-profile.ts';

type Fields = { readonly [name: string]: unknown };

/** A value read from a file as a hardware profile. @throws RangeError naming the first field that is not what it must be */
export function checkHardwareProfile(value: unknown): HardwareProfile {
  const profile = fieldsOf(value, 'a hardware profile');
  if (profile.schemaVersion !== 1) throw new RangeError(`schemaVersion must be 1, not ${JSON.stringify(profile.schemaVersion)}`);
  for (const name of ['name', 'gpu', 'model', 'source'] as const) {
    if (typeof profile[name] !== 'string') throw new RangeError(`${name} must be a text`);
  }
  if (profile.evidence !== 'measured' && profile.evidence !== 'estimate') throw new RangeError('evidence must be measured or estimate');
  const steps = Object.entries(fieldsOf(profile.stepsByTensorParallel, 'stepsByTensorParallel'));
  if (steps.length === 0) throw new RangeError('stepsByTensorParallel has no degree');
  for (const [degree, coefficients] of steps) checkSteps(fieldsOf(coefficients, `stepsByTensorParallel.${degree}`), degree);
  return value as HardwareProfile;
}

function checkSteps(steps: Fields, degree: string): void {
  const at = `stepsByTensorParallel.${degree}`;
  if (!/^[1-9]\d*$/.test(degree)) throw new RangeError(`${at}: a degree is a whole number of at least 1`);
  for (const name of ['hostMs', 'hostMsPerSequence']) number(steps, name, at);
  for (const name of ['dense', 'perSequence']) curve(steps[name], `${at}.${name}`);
  if (steps.experts !== undefined) curve(steps.experts, `${at}.experts`);
  const decode = fieldsOf(steps.decodeAttention, `${at}.decodeAttention`);
  for (const name of ['fixedMs', 'msPerSequence', 'msPerContextToken']) number(decode, name, `${at}.decodeAttention`);
  const prefill = fieldsOf(steps.prefillAttention, `${at}.prefillAttention`);
  for (const name of ['fixedMs', 'msPerToken', 'msPerPair']) number(prefill, name, `${at}.prefillAttention`);
}

function curve(value: unknown, at: string): void {
  const { at: xs, ms } = fieldsOf(value, at);
  const numbers = (list: unknown): list is number[] =>
    Array.isArray(list) && list.length > 0 && list.every((each) => Number.isFinite(each));
  if (!numbers(xs) || !numbers(ms) || xs.length !== ms.length) throw new RangeError(`${at} needs equally many numbers under at and ms`);
  if (xs.some((x, index) => index > 0 && x <= (xs[index - 1] as number))) throw new RangeError(`${at}.at must rise`);
}

function fieldsOf(value: unknown, at: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new RangeError(`${at} must be an object`);
  return value as Fields;
}

function number(fields: Fields, name: string, at: string): void {
  if (!Number.isFinite(fields[name])) throw new RangeError(`${at}.${name} must be a number`);
}
