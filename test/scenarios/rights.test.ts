import { describe, expect, it } from 'vitest';
import type { Workflow } from '../../compiler/contracts/index.ts';
import { checkScenario } from '../../scenarios/check.ts';
import { checkTelemetry } from '../../scenarios/check-rights.ts';
import { parseScenario } from '../../scenarios/load.ts';
import { declaredHosts, keptApart, rightsOf } from '../../scenarios/rights.ts';

const agent = (name: string, more: object = {}) => ({ name, domains: [], tools: [], ...more });
const workflow = {
  agents: [agent('desk'), agent('hr', { domains: ['personal'], tools: ['record'] }), agent('web', { hosts: ['api.web.example'] })],
  toolServers: [{ name: 'maps', tools: ['route'], domains: [] }],
  tools: [
    { name: 'record', hosts: ['staff.example:8443'] },
    { name: 'route', server: 'maps', hosts: ['maps.example:443'] },
  ],
  models: [],
  channels: [],
} as unknown as Workflow;
const words = {
  protocols: ['http-json'],
  targets: ['process', 'docker'],
  stores: ['memory'],
  backends: ['simulated'],
  strategies: ['exact'],
};

function parsed(rest: string) {
  const { scenario, problems } = parseScenario('/app/s/scenario.yaml', `workflow: w.ts\n${rest}`, {});
  if (!scenario) throw new Error(JSON.stringify(problems));
  return scenario;
}
const problemsOf = (rest: string) => checkScenario(parsed(rest), workflow, words);
const rights = (rest: string) => rightsOf(parsed(rest).config);

describe('what a scenario says of rights', () => {
  it('names only what the workflow has, and says what was meant', () => {
    expect(problemsOf('rights: { hosts: { wep: [a.example] } }')).toMatchObject([
      { code: 'DMAS_CFG_UNKNOWN_AGENT', didYouMean: 'web', at: { line: 2 } },
    ]);
    expect(problemsOf('rights: { domains: { hrr: personal } }')).toMatchObject([{ code: 'DMAS_CFG_UNKNOWN_AGENT', didYouMean: 'hr' }]);
    // A tool calls outside too, but stands in no unit of its own.
    expect(problemsOf('rights: { hosts: { record: [a.example] } }')).toEqual([]);
    expect(problemsOf('rights: { data: { record: [personal] } }')).toMatchObject([{ code: 'DMAS_CFG_UNKNOWN_AGENT' }]);
    expect(problemsOf('rights: { apart: [[personal, payment]] }').map(({ code }) => code)).toEqual([
      'DMAS_CFG_INVALID_VALUE',
      'DMAS_CFG_INVALID_VALUE',
    ]);
  });

  it.each(['"*.example.com"', '"a b"', 'example.com:0'])('takes no host %s', (host) => {
    const { scenario, problems } = parseScenario('/app/s/scenario.yaml', `workflow: w.ts\nrights: { hosts: { web: [${host}] } }\n`, {});
    expect(scenario).toBeUndefined();
    expect(problems).toMatchObject([{ code: 'DMAS_CFG_INVALID_VALUE', at: { line: 2 } }]);
  });

  it.each(['10.0.0.0/33', 'internal', '10.0.0.0/8/8', 'fd00::/129'])('takes no network %s', (network) => {
    expect(parseScenario('/app/s/scenario.yaml', `workflow: w.ts\nrights: { networks: ["${network}"] }\n`, {}).problems).toMatchObject([
      { code: 'DMAS_CFG_INVALID_VALUE', at: { line: 2 } },
    ]);
  });

  it('keeps components of different domains apart, and those without one nowhere', () => {
    expect(keptApart(workflow, rights('rights: { domains: { web: internet, maps: [personal] } }'))).toEqual([
      { components: ['hr', 'web'], reason: 'hr is in the security domain personal, web in internet' },
      { components: ['web', 'maps'], reason: 'web is in the security domain internet, maps in personal' },
    ]);
  });

  it('keeps classes of data apart that must not meet', () => {
    const found = keptApart(
      workflow,
      rights('rights: { data: { desk: [payment], maps: [health, location] }, apart: [[payment, health]] }'),
    );
    expect(found).toEqual([{ components: ['desk', 'maps'], reason: 'desk handles payment data and maps health data, which stay apart' }]);
    expect(keptApart(workflow, rights('rights: { data: { desk: [payment], maps: [payment] }, apart: [[payment, health]] }'))).toEqual([]);
  });

  it('finds what could stand nowhere, with the place', () => {
    expect(problemsOf('rights: { data: { desk: [payment, health] }, apart: [[payment, health]] }')).toMatchObject([
      { code: 'DMAS_CFG_CONTRADICTION', at: { line: 2 }, message: expect.stringContaining('desk handles payment and health data') },
    ]);
    expect(problemsOf('rights: { domains: { web: internet } }\nsearch: { together: [[hr, web]] }')).toMatchObject([
      { code: 'DMAS_CFG_CONTRADICTION', at: { line: 3 }, message: expect.stringContaining('security domain') },
    ]);
  });

  it('gives a unit the hosts of its components and of the tools that travel with them', () => {
    const given = rights('rights: { hosts: { web: [api.web.example:443, other.example], record: [audit.example] } }');
    expect(declaredHosts(workflow, given, ['web'])).toEqual([
      { host: 'api.web.example', port: 443, for: ['web'] },
      { host: 'other.example', port: 443, for: ['web'] },
    ]);
    expect(declaredHosts(workflow, given, ['hr']).map(({ host, for: by }) => [host, by])).toEqual([
      ['audit.example', ['record']],
      ['staff.example', ['record']],
    ]);
    expect(declaredHosts(workflow, given, ['maps'])).toEqual([{ host: 'maps.example', port: 443, for: ['route'] }]);
    expect(declaredHosts(workflow, given, ['desk'])).toEqual([]);
  });
});

describe('regions', () => {
  const limited = 'rights: { data: { hr: [personal] }, regions: { data: { personal: [eu-1] }, units: [eu-1, eu-2] } }\n';
  it('are held against that of the target', () => {
    expect(problemsOf(`${limited}target: { kind: docker, region: eu-1 }`)).toEqual([]);
    expect(problemsOf(`${limited}target: { kind: docker, region: eu-2 }`)).toMatchObject([
      {
        code: 'DMAS_CFG_CONTRADICTION',
        at: { line: 3 },
        message: expect.stringContaining('units that handle personal data may run in eu-1 only'),
      },
    ]);
    expect(problemsOf(`${limited}target: docker`)).toMatchObject([
      { message: expect.stringContaining('does not say where it runs') },
      { message: expect.stringContaining('does not say where it runs') },
    ]);
  });

  it('are no concern of data nobody here handles', () => {
    expect(problemsOf('rights: { regions: { data: { personal: [eu-1] } } }')).toMatchObject([{ code: 'DMAS_CFG_INVALID_VALUE' }]);
  });

  it('hold telemetry back', () => {
    const at = () => ({ file: 's.yaml' });
    const config = parsed(
      'rights: { regions: { telemetry: [eu-1] }, telemetry: { otlp.example:4318: eu-1, us.example:4318: us-1 } }',
    ).config;
    expect(checkTelemetry(config, ['http://otlp.example:4318'], at)).toEqual([]);
    expect(checkTelemetry(config, ['http://us.example:4318'], at)).toMatchObject([{ message: expect.stringContaining('stands in us-1') }]);
    expect(checkTelemetry(config, ['http://elsewhere.example:4318'], at)).toMatchObject([
      { message: expect.stringContaining('nobody named') },
    ]);
    expect(checkTelemetry(parsed('').config, ['http://elsewhere.example:4318'], at)).toEqual([]);
  });
});
