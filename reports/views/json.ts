import { z } from 'zod';
import { defineView } from '../view.ts';

/** The report value itself: what every other view is made from. */
export const jsonView = defineView({
  id: 'json',
  title: 'Versioned JSON with everything',
  options: z.object({}),
  traits: { files: ['report.json'] },
  load: async () => ({ render: (report) => [{ name: 'report.json', content: `${JSON.stringify(report, null, 1)}\n` }] }),
});
