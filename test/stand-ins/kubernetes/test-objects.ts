import type { JsonObject } from './state/json.ts';

/** A deployment and the service before it, as somebody would apply them. */
export function web(replicas: number, image = 'registry.example/web:1', name = 'web'): JsonObject[] {
  const labels = { app: name };
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, labels },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            containers: [
              {
                name: 'main',
                image,
                ports: [{ containerPort: 8080 }],
                env: [{ name: 'MODE', value: 'plain' }],
                readinessProbe: { httpGet: { path: '/ready', port: 8080 } },
              },
            ],
          },
        },
      },
    },
    { apiVersion: 'v1', kind: 'Service', metadata: { name, labels }, spec: { selector: labels, ports: [{ port: 80, targetPort: 8080 }] } },
  ];
}
