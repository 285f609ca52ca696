import type { EmitInput } from '../emitter.ts';
import { claimLines, noteLines, rightsTable } from '../readme-parts.ts';
import type { Balancer } from './balancers.ts';
import type { Place, SystemdSettings } from './places.ts';

interface Written {
  readonly settings: SystemdSettings;
  readonly application: string;
  readonly places: readonly Place[];
  readonly balancers: readonly Balancer[];
  /** Host names of the members that need a file with secrets. */
  readonly examples: readonly string[];
}

export function systemdReadme({ plan, access, facts }: EmitInput, written: Written): string {
  const { settings, application, places, balancers, examples } = written;
  const folder = `${settings.folder}/${application}`;
  const names = access.members.filter(({ hosts }) => hosts.length > 0).map(({ id }) => id);
  const foreign = [...new Set(places.filter(({ member }) => member.program !== null).map(({ member }) => member.id))];
  const [first] = places.filter(({ member }) => member.program === null);
  return [
    `# ${plan.application} as systemd services`,
    '',
    `Written by dmas-opt from ${facts.origin} (configuration ${plan.configurationId}). \`plan.txt\` says what runs where. One Linux machine with systemd 250 or newer and Node.js 20 or newer at \`${settings.node}\`; nothing of dmas-opt.`,
    ...noteLines(facts),
    '',
    '## Apply',
    '',
    ...(examples.length > 0
      ? [
          `Write the secrets into \`/etc/${application}\`, readable by root alone: ${examples.map((host) => `\`${host}.env\``).join(', ')}. \`environment/\` holds an example of each.`,
          '',
          '```sh',
          `sudo install -d -m 700 /etc/${application}`,
          ...examples.map(
            (host) => `sudo install -m 600 environment/${host}.env.example /etc/${application}/${host}.env   # then fill it in`,
          ),
          '```',
          '',
        ]
      : []),
    '```sh',
    `sudo install -d ${folder}`,
    `sudo cp -r bundles bindings${balancers.length > 0 ? ' nginx' : ''} ${folder}/`,
    'sudo cp units/* /etc/systemd/system/',
    'sudo systemctl daemon-reload',
    'sudo systemctl enable --now $(ls units)',
    '```',
    '',
    `Where another export of this application runs, remove it first (see below). The application answers at \`http://${settings.host}:${settings.port}/\`.`,
    '',
    '## Verify',
    '',
    '```sh',
    `systemctl list-units '${application}*'`,
    ...(first === undefined ? [] : waitUntilReady(application)),
    `curl -sS http://127.0.0.1:${settings.port}/ -H 'content-type: application/json' -d '<an input as JSON>'`,
    `systemd-analyze security --no-pager | grep '${application}-'`,
    '```',
    '',
    ...claimLines(facts),
    '',
    '## Roll back',
    '',
    'Keep this folder under version control. Remove what runs, in the folder it came from, then go back to the commit before and apply it. Requests under way get five seconds to end.',
    '',
    '```sh',
    'sudo systemctl disable --now $(ls units)',
    `for unit in $(ls units); do sudo rm -f /etc/systemd/system/$unit; done; sudo rm -rf ${folder}`,
    'sudo systemctl daemon-reload',
    '```',
    '',
    '## What may speak with whom',
    '',
    `Every replica has a loopback address of its own (${settings.network}.0.0/16) and may connect to those it calls alone (\`IPAddressAllow\`), listen on its own ports alone (\`SocketBindAllow\`), and write to a \`/tmp\` of its own, and to \`/var/lib/${application}\` where it remembers anything. Whoever connects on loopback comes from 127.0.0.1, so that address is open for all of them: do not let anything listen there that they must not reach.`,
    ...(names.length > 0
      ? ['', `${names.join(', ')}: call places outside by name, which no filter knows, so every address is open to them.`]
      : []),
    ...(foreign.length > 0
      ? [
          '',
          `${foreign.join(', ')}: built by others, started where they lie, with the parts of the sandbox that every program can bear; they must listen on 127.0.0.1 or everywhere.`,
        ]
      : []),
    '',
    ...rightsTable(access),
    '',
    '## Replicas',
    '',
    'Addresses are written into the files, so another number of replicas is another export. For several machines use `--format kubernetes`.',
    ...(balancers.length > 0
      ? [`${balancers.map(({ name }) => `\`${name}\``).join(', ')}: nginx, for callers that cannot balance; install it.`]
      : []),
    '',
    '## Traces',
    '',
    `\`/etc/${application}/traces.env\` may hold \`OTEL_EXPORTER_OTLP_ENDPOINT\` (OTLP over HTTP, on this machine) and \`OTEL_TRACES_SAMPLER_ARG\`, the share of requests to trace.`,
    '',
  ].join('\n');
}

/** Programs that have begun are not ready yet, and `systemctl` does not wait for that. */
const waitUntilReady = (application: string): string[] => [
  "for replica in $(ls bindings | sed 's/[.]json$//'); do   # each says when it is ready",
  `  until sudo curl -fs --unix-socket /run/${application}/$replica/control.sock http://localhost/readyz; do sleep 1; done`,
  'done',
];
