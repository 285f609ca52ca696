import { describe, expect, it } from 'vitest';
import { kubernetesVersions, validateObject, versionAtHand } from '../../../fixtures/kubernetes/validate.ts';

const deployment = () => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', labels: { 'app.kubernetes.io/name': 'web' } },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: {
        containers: [
          {
            name: 'web',
            image: 'example/web:1',
            ports: [{ containerPort: 80, name: 'http' }],
            readinessProbe: { httpGet: { path: '/', port: 'http' } },
            resources: { requests: { cpu: '500m', memory: '64Mi' }, limits: { memory: '64Mi' } },
          },
        ],
      },
    },
  },
});

/** The deployment with one thing changed, found by a path of keys. */
function changed(path: string, value: unknown): object {
  const object = deployment() as unknown as Record<string, unknown>;
  const keys = path.split('.');
  const last = keys.pop() ?? '';
  const parent = keys.reduce<Record<string, unknown>>((at, key) => at[key] as Record<string, unknown>, object);
  parent[last] = value;
  return object;
}
const container = 'spec.template.spec.containers.0';

describe.each(kubernetesVersions)('the validator for Kubernetes %s', (version) => {
  it.skipIf(!versionAtHand(version))('accepts what a server accepts', () => {
    expect(validateObject(version, deployment())).toEqual([]);
    const port = { protocol: 'TCP', port: 5432 };
    const policy = { podSelector: {}, policyTypes: ['Ingress'], ingress: [{ from: [{ podSelector: {} }], ports: [port] }] };
    expect(
      validateObject(version, { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'a' }, spec: policy }),
    ).toEqual([]);
  });

  it.skipIf(!versionAtHand(version)).each([
    ['an unknown field', `${container}.imagee`, 'a', /unknown field "spec\.template\.spec\.containers\[0\]\.imagee"/],
    ['a wrong type', 'spec.replicas', '2', /spec\.replicas: expected int32, got string/],
    ['a fraction', 'spec.replicas', 1.5, /spec\.replicas: expected int32/],
    ['a missing required field', 'spec.selector', undefined, /spec\.selector: Required value/],
    ['a list for an object', 'spec.template', [], /spec\.template: expected V1PodTemplateSpec, got list/],
    ['a selector that selects nothing', 'spec.selector.matchLabels.app', 'other', /does not match template/],
    ['a name', 'metadata.name', 'Web', /metadata\.name: Invalid value/],
    ['a label', 'metadata.labels', { a: 'not a value' }, /metadata\.labels: Invalid value/],
    ['a quantity', `${container}.resources.limits.memory`, '64 MB', /Invalid value: "64 MB"/],
    ['a request above its limit', `${container}.resources.requests.memory`, '1Gi', /less than or equal/],
    ['a mount without volume', `${container}.volumeMounts`, [{ name: 'x', mountPath: '/x' }], /Not found: "x"/],
    ['a probe on no port', `${container}.readinessProbe.httpGet.port`, 'nowhere', /no port is named/],
    ['a long port name', `${container}.ports.0.name`, 'a-name-of-many-letters', /at most 15/],
    ['an unknown kind in a group', 'apiVersion', 'v1', /no matches for kind "Deployment" in version "v1"/],
    ['an unknown value', `${container}.imagePullPolicy`, 'Sometimes', /Unsupported value/],
  ])('refuses %s', (_what, path, value, message) => {
    expect(validateObject(version, changed(path, value)).join('\n')).toMatch(message);
  });

  it.skipIf(!versionAtHand(version))('refuses what only other versions know', () => {
    const known = validateObject(version, changed('spec.template.spec.hostnameOverride', 'a'));
    expect(known).toHaveLength(version === 'v1.34' ? 0 : 1);
  });

  it.skipIf(!versionAtHand(version))('knows kinds of KEDA and Knative from their documents', () => {
    const scaled = { scaleTargetRef: { name: 'web' }, triggers: [{ type: 'prometheus', metadata: { threshold: '5' } }] };
    const object = { apiVersion: 'keda.sh/v1alpha1', kind: 'ScaledObject', metadata: { name: 'web' }, spec: scaled };
    expect(validateObject(version, object)).toEqual([]);
    expect(
      validateObject(version, { ...object, spec: { ...scaled, triggers: [{ type: 'prometheus', metadata: { threshold: 5 } }] } }),
    ).toEqual(['spec.triggers[0].metadata[threshold]: expected string, got number']);
    expect(validateObject(version, { ...object, spec: { ...scaled, maxReplicas: 3 } })).toEqual(['unknown field "spec.maxReplicas"']);
  });
});
