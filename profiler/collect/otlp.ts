import { z } from 'zod';
import { defineCollector } from './collector.ts';

/** OTLP over HTTP, protobuf and JSON, as every OpenTelemetry SDK sends it. */
export const otlp = defineCollector({
  id: 'otlp',
  title: 'OTLP/HTTP receiver for traces',
  options: z.object({}),
  traits: { signal: 'traces' },
  load: async () => {
    const { startReceiver } = await import('./otlp/receiver.ts');
    return { start: (host) => startReceiver({ host }) };
  },
});
