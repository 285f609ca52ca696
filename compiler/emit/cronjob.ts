import { z } from 'zod';
import { defineEmitter } from './emitter.ts';

/** Five fields of numbers, ranges, lists and steps, as Kubernetes and GitHub read them alike. */
const schedule = /^(\S+ ){4}\S+$/;

export const cronjob = defineEmitter({
  id: 'cronjob',
  title: 'The study on a schedule',
  options: z.strictObject({
    schedule: z.string().regex(schedule, 'five fields, e.g. 0 3 * * *').default('0 3 * * *').describe('When, as cron says it, in UTC.'),
    scenario: z.string().default('').describe('The scenario, relative to the root of the repository; empty: its file name.'),
    image: z.string().default('').describe('Image built from the Dockerfile here; empty: <application>-study:latest.'),
    nodeImage: z.string().min(1).default('node:20-slim').describe('Image with Node.js 20 or newer that it is built on.'),
    storage: z.string().default('5Gi').describe('Room for the runs on the cluster.'),
  }),
  traits: {
    formats: 'dmas-opt run every night, as a Kubernetes CronJob and as a GitHub workflow',
    target: { enforces: { vcpu: false, memory: false }, unixSockets: true, programs: 'command' },
  },
  load: async () => ({ emit: (await import('./cronjob/files.ts')).emitCronjob }),
});
