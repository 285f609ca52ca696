import { z } from 'zod';
import { defineView } from '../view.ts';

/** One self-contained HTML file. */
export const htmlView = defineView({
  id: 'html',
  title: 'HTML page that opens from disk',
  options: z.object({}),
  traits: { files: ['report.html'] },
  load: async () => {
    const { page } = await import('../web/page.ts');
    return { render: (report) => [{ name: 'report.html', content: page(report) }] };
  },
});
