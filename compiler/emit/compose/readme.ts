import type { EmitInput } from '../emitter.ts';
import { hostNameOf } from '../host-name.ts';
import { claimLines, noteLines, rightsTable } from '../readme-parts.ts';
import type { StandingMember } from '../standing.ts';
import type { Balancer } from './balancers.ts';
import type { ComposeNetworks } from './networks.ts';
import type { ComposeSettings } from './settings.ts';

interface Written {
  readonly settings: ComposeSettings;
  readonly members: readonly StandingMember[];
  readonly balancers: readonly Balancer[];
  readonly networks: ComposeNetworks;
  readonly kept: readonly string[];
}

export function composeReadme({ plan, access, facts }: EmitInput, written: Written): string {
  const { settings, members, balancers, networks, kept } = written;
  const secrets = [...new Set(members.filter(({ kind }) => kind === 'unit').flatMap((member) => member.secrets))].sort();
  const optional = [...new Set(members.filter(({ kind }) => kind === 'service').flatMap((member) => member.secrets))].sort();
  const door = members.find(({ publicAddress }) => publicAddress !== null);
  const doorHost = door === undefined ? '' : hostNameOf(door.id);
  const programs = members.filter(({ program }) => program !== null).map(({ id }) => hostNameOf(id));
  return [
    `# ${plan.application} with Docker Compose`,
    '',
    `Written by dmas-opt from ${facts.origin} (configuration ${plan.configurationId}). \`plan.txt\` says what runs where. These files need Docker with Compose 2 (or 1.29) and nothing of dmas-opt.`,
    ...noteLines(facts),
    '',
    '## Apply',
    '',
    ...(secrets.length > 0 ? [`Set ${secrets.join(', ')} in your shell; nothing is stored in a file.`, ''] : []),
    ...(optional.length > 0 ? [`Taken from your shell where they are set: ${optional.join(', ')}.`, ''] : []),
    '```sh',
    'docker compose build',
    'docker compose up -d --wait',
    '```',
    '',
    `Images are built from \`images/\` alone, on \`NODE_IMAGE\` (\`.env\`; ${settings.nodeImage} unless you change it). The application answers at \`http://127.0.0.1:${settings.port}/\` (\`HOST\` and \`PORT\` in \`.env\`).`,
    '',
    '## Verify',
    '',
    '```sh',
    'docker compose ps          # every service is healthy',
    `curl -sS http://127.0.0.1:${settings.port}/ -H 'content-type: application/json' -d '<an input as JSON>'`,
    '```',
    '',
    ...claimLines(facts),
    '',
    '## Roll back',
    '',
    'Image tags are made of what is inside, so older ones stay as they were. Keep this folder under version control; to go back to what ran before:',
    '',
    '```sh',
    'git checkout <the commit before> -- .',
    'docker compose up -d --wait',
    '```',
    '',
    `\`docker compose down\` ends everything${kept.length > 0 ? '; the volume `state` stays until `docker compose down --volumes`' : ''}.`,
    '',
    '## What may speak with whom',
    '',
    'Two services share a network exactly when one may call the other, and those networks have no way out. Containers have no capabilities, cannot gain any, write only to `/tmp`' +
      `${kept.length > 0 ? ' and the volume `state`' : ''}, and run as user 65532. ${doorHost === '' ? '' : `Users reach \`${doorHost}\` alone.`}`,
    '',
    ...rightsTable(access),
    '',
    ...(Object.values(networks.networks).some((network) => 'ipam' in network)
      ? [
          'There are more networks than an engine gives by itself, so they bring their subnets: `SUBNETS` in `.env` holds the first two numbers.',
          '',
        ]
      : []),
    ...(plan.services.some(({ kind }) => kind === 'egress')
      ? [
          'Places outside are called through `egress`, the only service with a way out: a proxy with a port per caller that holds each to the names it declares, and knows it by its address as well. Its log has every refusal once.',
          '',
        ]
      : []),
    ...(programs.length > 0
      ? [
          `${programs.join(', ')}: built by others, so they keep the user and files of their images and have no health check here; limits, networks and \`no-new-privileges\` hold for them too.`,
          '',
        ]
      : []),
    '## Replicas',
    '',
    'Services find all replicas of what they call by name, look again every second and balance by themselves; `docker compose up -d --scale <service>=<n>` needs nothing else' +
      `${doorHost === '' ? '' : `, except for \`${doorHost}\`, which holds the published port`}. Sessions of agents that remember stay with their replica, so some move when the number changes.`,
    ...(balancers.length > 0
      ? [
          `${balancers.map(({ host }) => `\`${host}\``).join(', ')}: nginx for callers that cannot balance; its replicas are looked up every second too.`,
        ]
      : []),
    '',
    '## Traces',
    '',
    'Set `OTEL_EXPORTER_OTLP_ENDPOINT` (OTLP over HTTP) and the share of requests to trace, `OTEL_TRACES_SAMPLER_ARG`, and give the services a network on which the collector is, in a `compose.override.yaml` of your own.',
    '',
  ].join('\n');
}
