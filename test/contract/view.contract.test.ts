import { describe, expect, it } from 'vitest';
import { views } from '../../cli/registry.ts';
import type { Report } from '../../reports/report.ts';
import type { ViewDescriptor } from '../../reports/view.ts';
import { sampleReport } from '../reports/sample-report.ts';

/** Reports as short as a study can leave them; a view has something to say of each. */
const reports: readonly (readonly [what: string, report: Report])[] = [
  ['a whole study', sampleReport],
  [
    'a study that measured nothing',
    { ...sampleReport, trials: [], front: [], headroom: null, capacity: null, whereItGoes: null, traces: null, search: null },
  ],
  [
    'a study that was interrupted',
    { ...sampleReport, state: 'interrupted', stateDetail: 'stopped by SIGINT', waterfalls: { before: null, after: null } },
  ],
];

describe.each((views as readonly ViewDescriptor[]).map((view) => [view.id, view] as const))('view %s', (_id, descriptor) => {
  it.each(reports)('writes the files it names, of %s', async (_what, report) => {
    const files = (await descriptor.load()).render(report);
    expect(files.map((file) => file.name)).toEqual(descriptor.traits.files);
    for (const file of files) {
      expect(file.content.length).toBeGreaterThan(0);
      expect(file.content).not.toMatch(/\bundefined\b|\bNaN\b|\[object Object\]/);
    }
  });

  it('is pure: the same report gives the same bytes and is left as it was', async () => {
    const before = structuredClone(sampleReport);
    const view = await descriptor.load();
    expect(view.render(sampleReport)).toEqual(view.render(sampleReport));
    expect(sampleReport).toEqual(before);
  });
});
