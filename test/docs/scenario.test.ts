import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { scenarioSchema } from '../../scenarios/schema.ts';
import { docsFile, freshDocs } from '../tools/scenario-docs.ts';

describe('docs/scenario.md', () => {
  const text = readFileSync(docsFile, 'utf8');

  it('is fresh (npx tsx test/tools/scenario-docs.ts writes it)', () => {
    expect(text).toBe(freshDocs());
  });

  it('has every top-level key, and a meaning for every key', () => {
    for (const key of Object.keys(scenarioSchema.shape)) expect(text).toContain(`### \`${key}\``);
    const rows = text.split('\n').filter((line) => line.startsWith('| `'));
    expect(rows.length).toBeGreaterThan(60);
    expect(rows.filter((row) => row.endsWith('|  |') || row.endsWith('.  |'))).toEqual([]);
  });

  it('shows defaults that hold', () => {
    expect(text).toContain('| `deadline` | duration | `30s` |');
    expect(text).toContain('| `margin` | share | `3%` |');
    expect(scenarioSchema.parse({ workflow: 'x' }).ingress.deadline).toBe(30_000);
  });
});
