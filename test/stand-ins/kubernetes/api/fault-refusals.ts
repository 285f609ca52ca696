import type { RequestFault } from './faults.ts';
import { conflict, forbidden, Refusal, type Subject, tooManyRequests } from './status.ts';

/** How a fault answers, in a server's words; null for what is no answer (a hang-up, a delay). */
export function faultRefusal(fault: RequestFault, subject: Subject, verb: string): Refusal | null {
  switch (fault.kind) {
    case 'conflict':
      return conflict(subject);
    case 'quota':
      return forbidden(
        subject,
        `exceeded quota: ${fault.message ?? 'team-quota'}, requested: ${subject.plural}=1, used: ${subject.plural}=10, limited: ${subject.plural}=10`,
      );
    case 'forbidden':
      return forbidden(
        subject,
        fault.message ?? `User "stand-in" cannot ${verb} resource "${subject.plural}" in API group "${subject.group}"`,
      );
    case 'throttled':
      return tooManyRequests(fault.retryAfterSeconds ?? 1);
    case 'unavailable':
      return new Refusal(503, 'ServiceUnavailable', fault.message ?? 'the server is currently unable to handle the request');
    case 'admission':
      return new Refusal(
        403,
        'Forbidden',
        `admission webhook "${fault.message === undefined ? 'validate.policy.example' : 'policy.example'}" denied the request: ${fault.message ?? 'containers must come from the approved registry'}`,
        { name: subject.name, kind: subject.plural },
      );
    case 'hang-up':
    case 'slow':
      return null;
  }
}
