import { V1CronJob, V1PersistentVolumeClaim } from '@kubernetes/client-node';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { cronjob } from '../../../compiler/emit/cronjob.ts';
import type { EmitInput } from '../../../compiler/emit/emitter.ts';
import { asText, emitInput, fileOf, theirs } from './export-support.ts';

const emitted = async (input: EmitInput, options: object = {}) => (await cronjob.load()).emit(input, cronjob.options.parse(options));

interface Model {
  getAttributeTypeMap?(): { baseName: string; type: string }[];
}

/** Fields of a value that the API's own model does not have; what the model cannot look into is left alone. */
function unknownFields(value: unknown, model: Model, path: string): string[] {
  const known = new Map((model.getAttributeTypeMap?.() ?? []).map(({ baseName, type }) => [baseName, type]));
  return Object.keys(value as object).flatMap((field) => (known.has(field) ? [] : [`${path}.${field}`]));
}

describe('a study on a schedule', () => {
  it('is what it was', async () => {
    await expect(asText(await emitted(await emitInput({ given: theirs })))).toMatchFileSnapshot(
      '../../golden/cronjob/with-a-model-of-others.txt',
    );
  });

  it('is a CronJob as the API knows it, that has no rights and holds no secret', async () => {
    const files = await emitted(await emitInput({ given: theirs }));
    const [claim, job] = parseAllDocuments(fileOf(files, 'kubernetes/cronjob.yaml')).map((document) => document.toJS());
    expect(unknownFields(claim, V1PersistentVolumeClaim, 'claim')).toEqual([]);
    expect(unknownFields(job, V1CronJob, 'job')).toEqual([]);
    const { spec } = job.spec.jobTemplate.spec.template;
    expect(spec).toMatchObject({ automountServiceAccountToken: false, restartPolicy: 'Never', securityContext: { runAsNonRoot: true } });
    expect(spec.containers[0].securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    for (const variable of spec.containers[0].env.filter(({ name }: { name: string }) => name !== 'HOME'))
      expect(variable).toEqual({ name: variable.name, valueFrom: { secretKeyRef: { name: 'newsroom-study', key: variable.name } } });
  });

  it('has room for all replicas of the layout and the driver', async () => {
    const of = async (replicas: number) => {
      const input = await emitInput({ replicas });
      const job = parseAllDocuments(fileOf(await emitted(input), 'kubernetes/cronjob.yaml'))[1]?.toJS();
      return Number(job.spec.jobTemplate.spec.template.spec.containers[0].resources.requests.cpu);
    };
    expect(await of(2)).toBeGreaterThan(await of(1));
  });

  it('is a workflow with the same schedule and the names of the same secrets', async () => {
    const files = await emitted(await emitInput({ given: theirs }), { schedule: '30 2 * * 1-5', scenario: 'ops/scenario.yaml' });
    const workflow = parse(fileOf(files, '.github/workflows/dmas-opt.yaml'));
    expect(workflow.on.schedule).toEqual([{ cron: '30 2 * * 1-5' }]);
    expect(workflow.permissions).toEqual({ contents: 'read' });
    const [study] = workflow.jobs.study.steps.filter(({ run = '' }: { run?: string }) => run.includes('dmas-opt run'));
    expect(study.run).toContain('ops/scenario.yaml');
    expect(study.env.MODEL_KEY).toBe('${{ secrets.MODEL_KEY }}');
  });

  it('refuses a scenario outside the repository, and a schedule that is none', async () => {
    const input = await emitInput();
    await expect(emitted(input, { scenario: '../other.yaml' })).rejects.toMatchObject({ code: 'DMAS_EXPORT' });
    expect(cronjob.options.safeParse({ schedule: 'nightly' }).success).toBe(false);
  });
});
