import { basename } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { fail, type Plan } from '../../contracts/index.ts';
import type { EmitInput, EmittedFile } from '../emitter.ts';
import { hostNameOf } from '../host-name.ts';
import { noteLines } from '../readme-parts.ts';

interface CronjobSettings {
  readonly schedule: string;
  readonly scenario: string;
  readonly image: string;
  readonly nodeImage: string;
  readonly storage: string;
}

const settingsOf = (options: { readonly [option: string]: unknown }): CronjobSettings =>
  z.object({ schedule: z.string(), scenario: z.string(), image: z.string(), nodeImage: z.string(), storage: z.string() }).parse(options);

interface Study {
  /** Name of everything. */
  readonly name: string;
  readonly settings: CronjobSettings;
  readonly scenario: string;
  readonly image: string;
  /** Environment variables a study needs, names alone. */
  readonly secrets: readonly string[];
  readonly vcpu: number;
  readonly memoryMb: number;
}

/** For the load driver and dmas-opt itself, beside the application: one core and what Node.js needs with a study in memory. */
const beside = { vcpu: 1, memoryMb: 1024 } as const;
/** Of `node` in Debian's and the official Node.js images. */
const nodeUser = 1000;

/**
 * The same study again and again: a Kubernetes CronJob and a GitHub workflow, and the image for the former. The layout
 * says how much machine it needs and which secrets; no value of a secret is in any file.
 */
export function emitCronjob(input: EmitInput, options: { readonly [option: string]: unknown }): readonly EmittedFile[] {
  const { plan, facts } = input;
  const settings = settingsOf(options);
  const name = `${hostNameOf(plan.application)}-study`;
  const scenario = settings.scenario === '' ? basename(facts.scenarioFile) : settings.scenario;
  if (scenario.startsWith('/') || scenario.split('/').includes('..'))
    fail('DMAS_EXPORT', `${scenario} is not inside the repository`, {
      fix: 'give the scenario relative to its root: --set scenario=<path>',
    });
  const study: Study = {
    ...{ name, settings, scenario, image: settings.image === '' ? `${name}:latest` : settings.image },
    ...{ secrets: secretsOf(plan), ...roomOf(plan) },
  };
  const head = `# Written by dmas-opt from ${facts.origin}; see README.md.\n`;
  const objects = [volumeClaim(study), cronJob(study)].map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false }));
  return [
    { path: 'kubernetes/cronjob.yaml', content: `${head}${objects.join('---\n')}` },
    { path: 'kubernetes/Dockerfile', content: dockerfile(settings) },
    {
      path: '.github/workflows/dmas-opt.yaml',
      content: `${head}${stringify(workflow(study), { lineWidth: 0, aliasDuplicateObjects: false })}`,
    },
    { path: 'README.md', content: readme(input, study) },
  ];
}

const secretsOf = ({ units, services }: Plan): readonly string[] =>
  [...new Set([...units, ...services].flatMap(({ secrets }) => secrets ?? []))].sort();

function roomOf({ units, services }: Plan): { readonly vcpu: number; readonly memoryMb: number } {
  const all = [...units, ...services];
  const sum = (of: (member: (typeof all)[number]) => number) => all.reduce((total, member) => total + member.replicas * of(member), 0);
  return {
    vcpu: Math.ceil(sum(({ resources }) => resources.vcpu) + beside.vcpu),
    memoryMb: Math.ceil(sum(({ resources }) => resources.memoryMb) + beside.memoryMb),
  };
}

const labelsOf = ({ name }: Study) => ({ 'app.kubernetes.io/name': name, 'app.kubernetes.io/managed-by': 'dmas-opt' });

const volumeClaim = (study: Study) => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name: study.name, labels: labelsOf(study) },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: study.settings.storage } } },
});

function cronJob(study: Study) {
  const { name, settings, scenario, image, secrets, vcpu, memoryMb } = study;
  const room = { cpu: String(vcpu), memory: `${memoryMb}Mi` };
  const container = {
    name: 'study',
    image,
    args: ['run', scenario, '--runs', '/runs', '--progress', 'plain'],
    env: [
      // Leases and caches of dmas-opt; the root file system is read-only.
      { name: 'HOME', value: '/tmp' },
      ...secrets.map((secret) => ({ name: secret, valueFrom: { secretKeyRef: { name, key: secret } } })),
    ],
    // Requests and limits alike, so that what is measured is not what neighbours leave.
    resources: { requests: room, limits: room },
    securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
    volumeMounts: [
      { name: 'runs', mountPath: '/runs' },
      { name: 'scratch', mountPath: '/tmp' },
    ],
  };
  const pod = {
    restartPolicy: 'Never',
    automountServiceAccountToken: false,
    securityContext: {
      ...{ runAsNonRoot: true, runAsUser: nodeUser, runAsGroup: nodeUser, fsGroup: nodeUser },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    containers: [container],
    volumes: [
      { name: 'runs', persistentVolumeClaim: { claimName: name } },
      { name: 'scratch', emptyDir: {} },
    ],
  };
  return {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name, labels: labelsOf(study) },
    spec: {
      schedule: settings.schedule,
      timeZone: 'Etc/UTC',
      // Two studies at once would measure each other.
      concurrencyPolicy: 'Forbid',
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 3,
      jobTemplate: { spec: { backoffLimit: 0, template: { metadata: { labels: labelsOf(study) }, spec: pod } } },
    },
  };
}

const dockerfile = ({
  nodeImage,
}: CronjobSettings): string => `# Written by dmas-opt. Build it at the root of the repository, which has dmas-opt among its dependencies.
ARG NODE_IMAGE=${nodeImage}
FROM \${NODE_IMAGE}
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
USER ${nodeUser}:${nodeUser}
ENTRYPOINT ["node_modules/.bin/dmas-opt"]
`;

function workflow({ settings, scenario, secrets }: Study) {
  const env = Object.fromEntries(secrets.map((secret) => [secret, `\${{ secrets.${secret} }}`]));
  return {
    name: 'dmas-opt',
    on: { schedule: [{ cron: settings.schedule }], workflow_dispatch: {} },
    permissions: { contents: 'read' },
    concurrency: { group: 'dmas-opt', 'cancel-in-progress': false },
    jobs: {
      study: {
        'runs-on': 'ubuntu-latest',
        steps: [
          { uses: 'actions/checkout@v4', with: { 'persist-credentials': false } },
          { uses: 'actions/setup-node@v4', with: { 'node-version': 20, cache: 'npm' } },
          { run: 'npm ci' },
          { run: `npx dmas-opt run ${scenario} --runs runs --progress plain`, ...(secrets.length > 0 ? { env } : {}) },
          {
            if: 'always()',
            uses: 'actions/upload-artifact@v4',
            with: { name: 'dmas-opt', path: 'runs/*/report.*', 'if-no-files-found': 'ignore' },
          },
        ],
      },
    },
  };
}

function readme({ plan, facts }: EmitInput, { name, settings, scenario, image, secrets, vcpu, memoryMb }: Study): string {
  const given = secrets.map((secret) => ` \\\n  --from-literal=${secret}="$${secret}"`).join('');
  return [
    `# The study of ${plan.application}, every night`,
    '',
    `Written by dmas-opt from ${facts.origin}. Runs \`dmas-opt run ${scenario}\` at \`${settings.schedule}\` (UTC): on a cluster or on GitHub, whichever you apply. The repository must have dmas-opt among its dependencies.`,
    ...noteLines(facts),
    '',
    '## Apply on Kubernetes',
    '',
    '```sh',
    `docker build -f kubernetes/Dockerfile -t ${image} <root of the repository>   # and push it to a registry of yours`,
    ...(secrets.length > 0 ? [`kubectl create secret generic ${name}${given}`] : []),
    'kubectl apply -f kubernetes/cronjob.yaml',
    '```',
    '',
    `One pod with ${vcpu} CPUs and ${memoryMb} MiB, guaranteed: what this layout needs, and the load driver beside it. A node that is busy otherwise makes blocks that decide nothing. The study runs in that pod on the target \`process\`, whatever the scenario's own needs; a scenario with another target needs its engine or cluster there.`,
    '',
    '## Apply on GitHub',
    '',
    `Copy \`.github\` into the repository.${secrets.length > 0 ? ` Its settings must hold the secrets ${secrets.join(', ')}.` : ''} Shared runners are noisy: expect more blocks that could not measure than on a machine of your own.`,
    '',
    '## Verify',
    '',
    '```sh',
    `kubectl create job ${name}-now --from=cronjob/${name}`,
    `kubectl logs -f job/${name}-now`,
    '```',
    '',
    'Reports lie in the volume under `/runs`, or in the artifact `dmas-opt` of the workflow. `dmas-opt run` ends with 0 when the study completed, whatever it found.',
    '',
    '## Roll back',
    '',
    '```sh',
    `kubectl delete cronjob/${name}      # the volume with the runs stays; kubectl delete pvc/${name} ends it too`,
    '```',
    '',
    'On GitHub: remove the workflow file.',
    '',
  ].join('\n');
}
