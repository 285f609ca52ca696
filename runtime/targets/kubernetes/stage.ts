import type { DeployRequest } from '../target.ts';
import type { KubernetesOptions } from './options.ts';
import type { DeploymentRecord } from './record.ts';
import type { StagedMember } from './staged.ts';

export interface StageInput extends Pick<DeployRequest, 'plan' | 'bundles'> {
  /** First part of every name. */
  readonly name: string;
  readonly options: KubernetesOptions;
  readonly request: DeployRequest;
  readonly otlpEndpoints: readonly string[];
  readonly reference: DeploymentRecord['reference'];
}

export function stagePlan(_input: StageInput): readonly StagedMember[] {
  return [];
}
