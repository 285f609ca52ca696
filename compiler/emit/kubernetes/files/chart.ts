import type { EmitInput, EmittedFile } from '../../emitter.ts';
import { contextOf } from '../context.ts';
import type { KubernetesInput, KubernetesObject } from '../input.ts';
import { slug } from '../names.ts';
import { objectsIn } from '../objects.ts';
import { publicPort } from '../services.ts';
import { imageOf } from '../workloads.ts';
import { printObjects } from './yaml.ts';

/** What values cover; all the rest of the manifests stands in the templates as it is. */
interface MemberValues {
  readonly replicas?: number;
  readonly minReplicas?: number;
  readonly maxReplicas?: number;
  readonly containers: { readonly [container: string]: { readonly image?: string; readonly resources: object } };
}

/**
 * The manifests as a small Helm chart: replicas, images, resources and the host of the Ingress are values. Names do not depend on the
 * release, since bindings contain them: one release for each namespace.
 */
export function chartFiles({ plan, facts }: EmitInput, input: KubernetesInput): readonly EmittedFile[] {
  const { publish: _, ...unpublished } = { ...input, managedBy: 'Helm' };
  const context = contextOf(unpublished);
  const objects = objectsIn(context);
  const door = context.members.find(({ publicAddress }) => publicAddress !== null);
  const values = Object.fromEntries(
    context.pods.map(({ name, members }) => [
      keyOf(name, context.prefix),
      valuesOf(
        objects,
        name,
        members.flatMap((member) =>
          member.program === null ? [] : [[keyOf(context.nameOf(member.id), context.prefix), imageOf(context, member)]],
        ),
      ),
    ]),
  );
  const [repository, tag] = splitImage(input.images['*'] ?? '');
  const all = {
    image: { repository, tag, pullPolicy: 'IfNotPresent' },
    imagePullSecrets: input.pullSecrets ?? [],
    ingress: { host: input.publish?.host ?? '', className: input.publish?.className ?? '', tlsSecret: input.publish?.tlsSecret ?? '' },
    units: values,
  };
  const head = [`Written by dmas-opt from ${facts.origin}.`];
  const chart = {
    apiVersion: 'v2',
    name: slug(plan.application),
    description: `${plan.application}, ${facts.origin}`,
    type: 'application',
    version: '0.1.0',
    appVersion: tag,
  };
  const kinds = [...new Set(objects.map(({ kind }) => kind))];
  return [
    { path: 'chart/Chart.yaml', content: printObjects([chart], head) },
    { path: 'chart/values.yaml', content: printObjects([all], [...head, 'Resources are what the layout was measured with.']) },
    ...kinds.map((kind) => ({
      path: `chart/templates/${kind.toLowerCase()}s.yaml`.replace(/ys\.yaml$/, 'ies.yaml'),
      content: `${objects
        .filter((object) => object.kind === kind)
        .map((object) => template(object, context.prefix))
        .join('---\n')}`,
    })),
    ...(door === undefined
      ? []
      : [
          {
            path: 'chart/templates/ingress.yaml',
            content: ingressTemplate(
              context.nameOf(door.id),
              context.metadata(context.nameOf(door.id), keyOf(context.nameOf(door.id), context.prefix)).labels,
            ),
          },
        ]),
  ];
}

const keyOf = (name: string, prefix: string) => name.slice(prefix.length + 1);

const splitImage = (image: string): [string, string] => {
  const at = image.lastIndexOf(':');
  return at > image.lastIndexOf('/') ? [image.slice(0, at), image.slice(at + 1)] : [image, 'latest'];
};

interface Workload {
  readonly spec: {
    readonly replicas?: number;
    readonly template: {
      readonly spec: { readonly containers: readonly Container[]; readonly [field: string]: unknown };
      readonly [field: string]: unknown;
    };
    readonly [field: string]: unknown;
  };
}
interface Container {
  readonly name: string;
  readonly image: string;
  readonly resources: object;
  readonly [field: string]: unknown;
}

const isWorkload = ({ kind }: KubernetesObject) => kind === 'Deployment' || kind === 'StatefulSet';
const scalers = ['HorizontalPodAutoscaler', 'ScaledObject'];

function valuesOf(
  objects: readonly KubernetesObject[],
  name: string,
  images: readonly (readonly [string, string] | string[])[],
): MemberValues {
  const workload = objects.find((object) => isWorkload(object) && object.metadata.name === name) as unknown as Workload;
  const scaler = objects.find(({ kind, metadata }) => scalers.includes(kind) && metadata.name === name)?.spec as
    | { [field: string]: number }
    | undefined;
  const theirs = new Map(images as readonly [string, string][]);
  return {
    ...(workload.spec.replicas === undefined ? {} : { replicas: workload.spec.replicas }),
    ...(scaler === undefined
      ? {}
      : { minReplicas: scaler.minReplicas ?? scaler.minReplicaCount ?? 1, maxReplicas: scaler.maxReplicas ?? scaler.maxReplicaCount ?? 1 }),
    containers: Object.fromEntries(
      workload.spec.template.spec.containers.map((container) => {
        const image = theirs.get(container.name);
        return [container.name, { ...(image === undefined ? {} : { image }), resources: container.resources }];
      }),
    ),
  };
}

/** Text that no manifest contains, to be replaced after printing. */
const mark = (what: string) => `DMAS-HELM-${what}-MARK`;

function template(object: KubernetesObject, prefix: string): string {
  const key = keyOf(object.metadata.name, prefix);
  const at = `(index .Values.units "${key}")`;
  const text = (value: object) => printObjects([value]).replaceAll('{{', '{{ "{{" }}');
  if (scalers.includes(object.kind)) {
    const spec = object.spec as { readonly [field: string]: unknown };
    const bounds = Object.keys(spec).filter((field) => /^(min|max)Replica/.test(field));
    const marked = Object.fromEntries(bounds.map((field) => [field, mark(field)]));
    return bounds.reduce(
      (printed, field) => printed.replace(mark(field), `{{ ${at}.${field.startsWith('min') ? 'minReplicas' : 'maxReplicas'} }}`),
      text({ ...object, spec: { ...spec, ...marked } }),
    );
  }
  if (!isWorkload(object)) return text(object);
  const { spec } = object as unknown as Workload;
  const containers = spec.template.spec.containers.map((container) => ({
    ...container,
    image: mark(`image-${container.name}`),
    imagePullPolicy: mark('pull'),
    resources: mark(`resources-${container.name}`),
  }));
  const { imagePullSecrets: _, ...pod } = spec.template.spec as { readonly imagePullSecrets?: unknown; readonly [field: string]: unknown };
  const marked = {
    ...object,
    spec: {
      ...spec,
      ...(spec.replicas === undefined ? {} : { replicas: mark('replicas') }),
      template: { ...spec.template, spec: { [mark('secrets')]: '', ...pod, containers } },
    },
  };
  const printed = text(marked)
    .replace(mark('replicas'), `{{ ${at}.replicas }}`)
    .replaceAll(mark('pull'), '{{ .Values.image.pullPolicy }}')
    .replace(new RegExp(`^( *)${mark('secrets')}: ""$`, 'm'), (_line, indent: string) =>
      [
        `${indent}{{- with .Values.imagePullSecrets }}`,
        `${indent}imagePullSecrets:`,
        `${indent}{{- range . }}`,
        `${indent}  - name: {{ . }}`,
        `${indent}{{- end }}`,
        `${indent}{{- end }}`,
      ].join('\n'),
    );
  return containers.reduce((all, { name }) => {
    const own = `(index ${at}.containers "${name}")`;
    return all
      .replace(
        mark(`image-${name}`),
        `{{ ${own}.image | default (printf "%s:%s" .Values.image.repository (toString .Values.image.tag)) | quote }}`,
      )
      .replace(
        new RegExp(`^( *)resources: ${mark(`resources-${name}`)}$`, 'm'),
        (_line, indent: string) => `${indent}resources:\n${indent}  {{- toYaml ${own}.resources | nindent ${indent.length + 2} }}`,
      );
  }, printed);
}

const ingressTemplate = (service: string, labels: { readonly [label: string]: string }): string => `{{- if .Values.ingress.host }}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: ${service}
  labels:
${Object.entries(labels)
  .map(([name, value]) => `    ${name}: ${JSON.stringify(value)}\n`)
  .join('')}spec:
  {{- with .Values.ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with .Values.ingress.tlsSecret }}
  tls:
    - hosts: [{{ $.Values.ingress.host | quote }}]
      secretName: {{ . }}
  {{- end }}
  rules:
    - host: {{ .Values.ingress.host | quote }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: ${service}
                port:
                  name: http # ${publicPort}
{{- end }}
`;
