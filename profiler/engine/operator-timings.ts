import { fail } from '../../compiler/contracts/index.ts';
import type { Curve } from '../../runtime/llm/engine/hardware-profile.ts';
import type { OperatorTables } from '../../runtime/llm/engine/operator-tables.ts';

/** Contents of `tp<N>-….csv`, by table. */
export interface OperatorFiles {
  readonly attention: TableFile;
  readonly dense: TableFile;
  readonly perSequence: TableFile;
  readonly experts?: TableFile;
}

export interface TableFile {
  readonly path: string;
  readonly text: string;
}

/** Once per step; every other dense operator is once per layer, or as often as `perLayer` says. */
const oncePerStep = new Set(['embedding', 'final_layernorm']);
/** A norm before attention and one before the feed-forward block. */
const perLayer: { readonly [operator: string]: number } = { layernorm: 2 };

/** @throws DmasError DMAS_ENGINE_FILE for a table that is not as it should be, with the line */
export function readOperatorTables(tensorParallelSize: number, files: OperatorFiles, skew?: number): OperatorTables {
  const dense = readTable(files.dense, ['layer', 'tokens', 'time_us']);
  const experts = files.experts && readTable(files.experts, ['tokens', 'activated_experts', 'time_us']);
  return {
    tensorParallelSize,
    layer: sumOf(files.dense, dense, (operator) => (oncePerStep.has(operator) ? 0 : (perLayer[operator] ?? 1))),
    ends: sumOf(files.dense, dense, (operator) => (oncePerStep.has(operator) ? 1 : 0)),
    perSequence: sumOf(files.perSequence, readTable(files.perSequence, ['layer', 'sequences', 'time_us']), () => 1),
    attention: readTable(files.attention, ['prefill_chunk', 'kv_prefill', 'n_decode', 'kv_decode', 'time_us']).map((row) => ({
      prefillTokens: numberOf(row, 0),
      prefillContext: numberOf(row, 1),
      decodes: numberOf(row, 2),
      decodeContext: numberOf(row, 3),
      ms: numberOf(row, 4) / 1000,
    })),
    ...(experts
      ? { experts: experts.map((row) => ({ tokens: numberOf(row, 0), experts: numberOf(row, 1), ms: numberOf(row, 2) / 1000 })) }
      : {}),
    ...(skew === undefined ? {} : { skew }),
  };
}

type Row = readonly (string | number)[];

const numberOf = (row: Row, index: number) => row[index] as number;

/** Rows below the header; every column but `layer` is a number. */
function readTable({ path, text }: TableFile, columns: readonly string[]): Row[] {
  const lines = text.split(/\r?\n/);
  const header = (lines[0] ?? '').trim().split(',');
  const at = columns.map((column) => header.indexOf(column));
  const missing = columns.filter((_, index) => at[index] === -1);
  if (missing.length > 0) {
    return fail('DMAS_ENGINE_FILE', `${path}:1: no column ${missing.join(', ')}`, {
      fix: `The first line must name ${columns.join(', ')}.`,
    });
  }
  const rows: Row[] = [];
  for (let line = 1; line < lines.length; line++) {
    const cells = (lines[line] as string).split(',');
    if (cells.length === 1 && cells[0]?.trim() === '') continue;
    rows.push(
      columns.map((column, index) => {
        const cell = (cells[at[index] as number] ?? '').trim();
        if (column === 'layer') return cell;
        const value = cell === '' ? Number.NaN : Number(cell);
        if (value >= 0) return value;
        return fail('DMAS_ENGINE_FILE', `${path}:${line + 1}: ${column} is "${cell}"`, {
          fix: `${column} must be a number of at least 0.`,
        });
      }),
    );
  }
  if (rows.length === 0) return fail('DMAS_ENGINE_FILE', `${path}: no rows`, { fix: 'The table needs at least one measurement.' });
  return rows;
}

/** Sum of operators over sizes at which all of them were measured. */
function sumOf(file: TableFile, rows: readonly Row[], times: (operator: string) => number): Curve {
  const operators = new Set<string>();
  const sums = new Map<number, { ms: number; count: number }>();
  for (const [operator, size, us] of rows as readonly [string, number, number][]) {
    const count = times(operator);
    if (count === 0) continue;
    operators.add(operator);
    const sum = sums.get(size) ?? { ms: 0, count: 0 };
    sum.ms += (count * us) / 1000;
    sum.count++;
    sums.set(size, sum);
  }
  if (operators.size === 0) return { at: [1], ms: [0] };
  const whole = [...sums].filter(([, { count }]) => count === operators.size).sort(([a], [b]) => a - b);
  if (whole.length === 0) {
    return fail('DMAS_ENGINE_FILE', `${file.path}: no size at which every operator was measured`, {
      fix: `Every one of ${[...operators].join(', ')} needs a row for the same sizes.`,
    });
  }
  return { at: whole.map(([size]) => size), ms: whole.map(([, { ms }]) => ms) };
}
