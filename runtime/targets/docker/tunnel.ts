import { PassThrough } from 'node:stream';
import type Docker from 'dockerode';
import { type Forward, forwardedHeaders } from './forward.ts';
import { labels, ownerLabels } from './labels.ts';
import type { Relay } from './relay.ts';
import { tunnelProgram } from './tunnel-program.ts';

const tunnelPort = 4318;
const memoryBytes = 128 * 2 ** 20;
const startsWithinMs = 20_000;

interface Question {
  readonly id: number;
  readonly path: string;
  readonly headers: { readonly [name: string]: string };
  /** Base64. */
  readonly body: string;
}

/**
 * The way of traces out of a network whose gateway is not an address of this machine: a container that takes them there
 * and passes them on through its standard streams, which reach this process wherever the engine is.
 */
export async function openTunnel(
  docker: Docker,
  place: { readonly image: string; readonly network: string; readonly gateway: string; readonly deploymentId: string },
  forward: Forward,
): Promise<Relay> {
  const container = await docker.createContainer({
    name: `${place.network}-traces`,
    Image: place.image,
    Entrypoint: ['node', '-e', tunnelProgram, String(tunnelPort), JSON.stringify(forwardedHeaders)],
    Labels: { ...ownerLabels(place.deploymentId), [labels.replica]: 'traces' },
    User: '65534:65534',
    WorkingDir: '/tmp',
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    ExposedPorts: { [`${tunnelPort}/tcp`]: {} },
    HostConfig: {
      NetworkMode: place.network,
      Memory: memoryBytes,
      MemorySwap: memoryBytes,
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      LogConfig: { Type: 'none', Config: {} },
      // At the gateway alone: members reach it there, though they do not reach each other on this network.
      PortBindings: { [`${tunnelPort}/tcp`]: [{ HostIp: place.gateway, HostPort: '' }] },
    },
  });
  const close = async () => {
    await container.remove({ force: true, v: true }).catch(() => {});
  };
  try {
    const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
    const [output, errors] = [new PassThrough(), new PassThrough()];
    docker.modem.demuxStream(stream, output, errors);
    stream.on('error', () => {});
    const listening = answerQuestions(output, errors, stream, forward);
    await container.start();
    await listening;
    const { Ports } = (await container.inspect()).NetworkSettings;
    return { port: Number(Ports[`${tunnelPort}/tcp`]?.[0]?.HostPort ?? 0), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Resolves once the program listens. */
function answerQuestions(output: PassThrough, errors: PassThrough, answers: NodeJS.WritableStream, forward: Forward): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = '';
    const timer = setTimeout(
      () => reject(new Error(`the way out for traces did not open within ${startsWithinMs} ms ${said}`)),
      startsWithinMs,
    );
    errors.on('data', (chunk: Buffer) => {
      said = `${said}${chunk}`.slice(-1_000);
    });
    const answer = async (line: string) => {
      const { id, path, headers, body } = JSON.parse(line) as Question;
      const reply = await forward({ path, headers, body: Buffer.from(body, 'base64') });
      answers.write(`${JSON.stringify({ id, status: reply.status, body: reply.body.toString('base64') })}\n`);
    };
    const pending = unboundedLines((line) => {
      if (line !== 'listening') return void answer(line).catch(() => {});
      clearTimeout(timer);
      resolve();
    });
    output.on('data', pending);
  });
}

/** A batch of spans may be longer than any line of a log. */
function unboundedLines(onLine: (line: string) => void): (chunk: Buffer) => void {
  let parts: string[] = [];
  return (chunk) => {
    const lines = chunk.toString('latin1').split('\n');
    while (lines.length > 1) {
      onLine([...parts, lines.shift() ?? ''].join(''));
      parts = [];
    }
    parts.push(lines[0] ?? '');
  };
}
