import type { Access, LogicalAddress } from '../../contracts/index.ts';
import { hostNameOf } from '../host-name.ts';
import type { StandingMember } from '../standing.ts';

/**
 * A proxy before something with several replicas, for programs of others: they are told one address when they start, and
 * what they make of a name with several addresses nobody knows.
 */
export interface Balancer {
  /** Its own host name. */
  readonly host: string;
  /** The member it stands before. */
  readonly before: string;
  readonly ports: readonly number[];
}

export function balancersOf(members: readonly StandingMember[], access: Access): readonly Balancer[] {
  const foreign = new Set(members.filter(({ program }) => program !== null).map(({ id }) => id));
  const callees = new Set(
    access.members
      .filter(({ id }) => foreign.has(id))
      .flatMap(({ id, reaches }) => reaches.filter(({ to }) => to !== id).map(({ to }) => to)),
  );
  return members
    .filter(({ id, replicas }) => replicas > 1 && callees.has(id))
    .map(({ id, ports }) => ({
      host: hostNameOf(`balancer-${hostNameOf(id)}`),
      before: id,
      ports: [...new Set(ports.map(({ port }) => port))],
    }));
}

/** Who reaches whom with the balancers between; a balancer is named by its host name. */
export function withBalancers(access: Access, members: readonly StandingMember[], balancers: readonly Balancer[]): Access {
  const foreign = new Set(members.filter(({ program }) => program !== null).map(({ id }) => id));
  const hostBefore = new Map(balancers.map(({ before, host }) => [before, host]));
  const rewritten = access.members.map((member) => ({
    ...member,
    reaches: foreign.has(member.id)
      ? member.reaches.map((reach) => ({ ...reach, to: hostBefore.get(reach.to) ?? reach.to }))
      : member.reaches,
  }));
  const added = balancers.map(({ host, before }) => ({
    ...{ id: host, kind: 'service' as const, accepts: [], public: false, hosts: [], secrets: [] },
    reaches: [{ to: before, address: '' as LogicalAddress }],
  }));
  return { members: [...rewritten, ...added] };
}

/**
 * A name in a variable is looked up while nginx runs, all its addresses take turns, and one that refuses is passed over.
 * Addresses of the engine's own name server change with every replica that comes or goes.
 */
export function nginxConfiguration({ before, ports }: Balancer): string {
  const servers = ports.map(
    (port) => `  server {
    listen ${port};
    location / {
      set $replicas http://${hostNameOf(before)}:${port};
      proxy_pass $replicas;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 1h;
    }
  }
`,
  );
  return `worker_processes 1;
pid /tmp/nginx.pid;
error_log /dev/stderr warn;
events {
  worker_connections 1024;
}
http {
  access_log off;
  resolver 127.0.0.11 valid=1s ipv6=off;
  client_max_body_size 64m;
  client_body_temp_path /tmp/client;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
${servers.join('')}}
`;
}
