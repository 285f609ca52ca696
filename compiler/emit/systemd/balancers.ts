import type { Access } from '../../contracts/index.ts';
import { hostNameOf } from '../host-name.ts';
import { addressOf, type Place, type SystemdSettings } from './places.ts';

/** nginx before the replicas of something that a program of others calls: it is told one address when it starts. */
export interface Balancer {
  readonly name: string;
  readonly before: string;
  readonly ip: string;
  readonly replicas: readonly Place[];
}

export function balancersOf(places: readonly Place[], access: Access, { network }: SystemdSettings): readonly Balancer[] {
  const foreign = new Set(places.filter(({ member }) => member.program !== null).map(({ member }) => member.id));
  const callees = new Set(
    access.members
      .filter(({ id }) => foreign.has(id))
      .flatMap(({ id, reaches }) => reaches.filter(({ to }) => to !== id).map(({ to }) => to)),
  );
  return [...callees].sort().flatMap((id, index): Balancer[] => {
    const replicas = places.filter(({ member }) => member.id === id);
    if (replicas.length < 2) return [];
    return [{ name: `balancer-${hostNameOf(id)}`, before: id, ip: addressOf(network, places.length + index), replicas }];
  });
}

/** Addresses are fixed here, so they stand in the file. */
export function nginxConfiguration({ name, ip, replicas }: Balancer): string {
  const listeners = replicas[0]?.ports ?? [];
  const blocks = listeners.map(({ port }, index) => {
    const servers = replicas.map((place) => `    server ${place.ports[index]?.host}:${place.ports[index]?.port};\n`);
    return `  upstream replicas_${index} {
    least_conn;
${servers.join('')}    keepalive 16;
  }
  server {
    listen ${ip}:${port};
    location / {
      proxy_pass http://replicas_${index};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 1h;
    }
  }
`;
  });
  return `# ${name}. Written by dmas-opt.
worker_processes 1;
pid /tmp/nginx.pid;
error_log stderr warn;
events {
  worker_connections 1024;
}
http {
  access_log off;
  client_max_body_size 64m;
  client_body_temp_path /tmp/client;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
${blocks.join('')}}
`;
}
