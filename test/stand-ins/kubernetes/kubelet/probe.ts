import http from 'node:http';
import net from 'node:net';
import { isObject, type JsonObject, type KubeObject, numberAt, objectsAt, textAt } from '../state/json.ts';

/** Asks one probe of a container; what it has no answer for is good. */
export async function askProbe(probe: JsonObject, pod: KubeObject, podIp: string): Promise<boolean> {
  const timeoutMs = (numberAt(probe, 'timeoutSeconds') ?? 1) * 1000;
  if (isObject(probe.httpGet)) {
    const port = portOf(pod, probe.httpGet.port);
    return askHttp(podIp, port, textAt(probe.httpGet, 'path') ?? '/', timeoutMs);
  }
  if (isObject(probe.tcpSocket)) return askTcp(podIp, portOf(pod, probe.tcpSocket.port), timeoutMs);
  return true;
}

function portOf(pod: KubeObject, port: unknown): number {
  if (typeof port === 'number') return port;
  const named = objectsAt(pod, 'spec', 'containers')
    .flatMap((container) => objectsAt(container, 'ports'))
    .find(({ name }) => name === port);
  return typeof named?.containerPort === 'number' ? named.containerPort : Number(port);
}

const askHttp = (host: string, port: number, path: string, timeoutMs: number): Promise<boolean> =>
  new Promise((resolve) => {
    const request = http.get(
      { host, port, path, timeout: timeoutMs, agent: false, headers: { 'user-agent': 'kube-probe/stand-in' } },
      (response) => {
        response.resume();
        const code = response.statusCode ?? 0;
        resolve(code >= 200 && code < 400);
      },
    );
    request.once('timeout', () => request.destroy());
    request.once('error', () => resolve(false));
    request.once('close', () => resolve(false));
  });

const askTcp = (host: string, port: number, timeoutMs: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = net.connect({ host, port, timeout: timeoutMs });
    const end = (good: boolean) => {
      socket.destroy();
      resolve(good);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
