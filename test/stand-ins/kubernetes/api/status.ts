import type { JsonObject } from '../state/json.ts';

/** One reason in a Status of a refused object. */
export interface Cause {
  readonly reason: string;
  readonly message: string;
  readonly field: string;
}

export interface Subject {
  readonly group: string;
  readonly kind: string;
  readonly plural: string;
  readonly name: string;
}

/** A refusal as the API server sends it. */
export class Refusal extends Error {
  readonly code: number;
  readonly status: JsonObject;
  readonly headers: { readonly [name: string]: string };

  constructor(code: number, reason: string, message: string, details: JsonObject = {}, headers: { [name: string]: string } = {}) {
    super(message);
    this.code = code;
    this.headers = headers;
    this.status = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      ...(reason === '' ? {} : { reason }),
      ...(Object.keys(details).length > 0 ? { details } : {}),
      code,
    };
  }
}

const qualified = (subject: { group: string; plural: string }) =>
  subject.group === '' ? subject.plural : `${subject.plural}.${subject.group}`;
const qualifiedKind = (subject: { group: string; kind: string }) =>
  subject.group === '' ? subject.kind : `${subject.kind}.${subject.group}`;
const detailsOf = ({ name, group, plural }: Subject): JsonObject => ({ name, ...(group === '' ? {} : { group }), kind: plural });

export const notFound = (subject: Subject) =>
  new Refusal(404, 'NotFound', `${qualified(subject)} "${subject.name}" not found`, detailsOf(subject));

export const noSuchPath = () => new Refusal(404, 'NotFound', 'the server could not find the requested resource', {});

export const alreadyExists = (subject: Subject) =>
  new Refusal(409, 'AlreadyExists', `${qualified(subject)} "${subject.name}" already exists`, detailsOf(subject));

export const conflict = (
  subject: Subject,
  why = 'the object has been modified; please apply your changes to the latest version and try again',
) => new Refusal(409, 'Conflict', `Operation cannot be fulfilled on ${qualified(subject)} "${subject.name}": ${why}`, detailsOf(subject));

export const forbidden = (subject: Subject, why: string) =>
  new Refusal(
    403,
    'Forbidden',
    `${qualified(subject)}${subject.name === '' ? '' : ` "${subject.name}"`} is forbidden: ${why}`,
    detailsOf(subject),
  );

export const badRequest = (message: string) => new Refusal(400, 'BadRequest', message);
export const gone = (message: string) => new Refusal(410, 'Expired', message);
export const unauthorized = () => new Refusal(401, 'Unauthorized', 'Unauthorized');
export const notAllowed = () => new Refusal(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');
export const internal = (message: string) => new Refusal(500, '', message);

export const tooManyRequests = (
  retryAfterSeconds: number,
  message = 'the server has received too many requests and has asked us to try again later',
) => new Refusal(429, 'TooManyRequests', message, { retryAfterSeconds }, { 'Retry-After': String(retryAfterSeconds) });

/** 422: the object is understood and refused, with every reason. */
export function invalid(subject: Subject, causes: readonly Cause[]): Refusal {
  const reasons = causes.map(({ field, message }) => `${field}: ${message}`);
  const text = reasons.length === 1 ? String(reasons[0]) : `[${reasons.join(', ')}]`;
  return new Refusal(422, 'Invalid', `${qualifiedKind(subject)} "${subject.name}" is invalid: ${text}`, {
    ...detailsOf({ ...subject, plural: subject.kind }),
    causes: causes.map((cause) => ({ ...cause })),
  });
}

export const required = (field: string, detail = ''): Cause => ({
  reason: 'FieldValueRequired',
  field,
  message: `Required value${detail === '' ? '' : `: ${detail}`}`,
});
const shown = (value: unknown) => (typeof value === 'string' ? `"${value}"` : JSON.stringify(value));
export const invalidValue = (field: string, value: unknown, detail: string): Cause => ({
  reason: 'FieldValueInvalid',
  field,
  message: `Invalid value: ${shown(value)}: ${detail}`,
});
export const unsupported = (field: string, value: unknown, supported: readonly string[]): Cause => ({
  reason: 'FieldValueNotSupported',
  field,
  message: `Unsupported value: ${shown(value)}: supported values: ${supported.map((each) => `"${each}"`).join(', ')}`,
});
export const duplicate = (field: string, value: unknown): Cause => ({
  reason: 'FieldValueDuplicate',
  field,
  message: `Duplicate value: ${shown(value)}`,
});
export const notFoundValue = (field: string, value: unknown): Cause => ({
  reason: 'FieldValueNotFound',
  field,
  message: `Not found: ${shown(value)}`,
});
