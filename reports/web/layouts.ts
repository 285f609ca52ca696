import type { Configuration, UnitConfiguration } from '../../compiler/contracts/index.ts';
import type { Report, ReportTrial } from '../report.ts';
import { html, type Markup, raw } from './markup.ts';

const chip = { width: 136, height: 26, gap: 8 };
const unitPad = 12;
const titleHeight = 22;
const columnGap = 74;

interface Edge {
  readonly from: string;
  readonly to: string;
}

/** The baseline’s and the winner’s layout as boxes: a box is a process, a line inside one is a function call. */
export function layoutSection(report: Report): Markup {
  const baseline = report.trials.find((trial) => trial.configurationId === report.verdict.baselineId);
  const winner = report.trials.find((trial) => trial.configurationId === report.verdict.winnerId);
  const edges = report.whereItGoes?.edges ?? [];
  if (!baseline) return html``;
  const changed = winner && winner !== baseline ? winner : undefined;
  return html`
<h2 id="layouts">Layout before and after</h2>
<p class="note">Each box is one process (× replicas). Solid lines cross processes and cost a hop; dotted ones stay inside.</p>
<div class="grid two">${card('Before', baseline, edges)}${changed ? card('After', changed, edges) : html`<div class="card"><h3>After</h3><p class="note">Unchanged: nothing measured here was better.</p></div>`}</div>
${changed && changed.changes.length > 0 && html`<ul class="plain">${changed.changes.map((line) => html`<li>${line}</li>`)}</ul>`}
${changed && report.explanation.length > 0 && html`<h3 style="margin-top:14px">Why <span class="badge plain">modelled</span></h3><ul class="plain">${report.explanation.map((line) => html`<li>${line}</li>`)}</ul>`}`;
}

const card = (title: string, trial: ReportTrial, edges: readonly Edge[]) =>
  html`<div class="card scroll"><h3>${title}: ${trial.label}</h3>${drawing(trial.configuration, edges)}</div>`;

/** Units in columns by how deep they are called, so that calls run from left to right. */
function drawing(configuration: Configuration, edges: readonly Edge[]): Markup {
  const depth = depths(configuration, edges);
  const columns: UnitConfiguration[][] = [];
  for (const unit of configuration.units) {
    const column = depth.get(unit.id) ?? 0;
    columns[column] = [...(columns[column] ?? []), unit];
  }
  const used = columns.filter(Boolean);
  const box = { width: chip.width + 2 * unitPad };
  const places = new Map<string, { x: number; y: number }>();
  let height = 0;
  const boxes = used.flatMap((units, column) => {
    let y = 6;
    return units.map((unit) => {
      const x = 4 + column * (box.width + columnGap);
      const unitHeight = titleHeight + unit.components.length * (chip.height + chip.gap) + unitPad - 2;
      const top = y;
      unit.components.forEach((component, index) => {
        places.set(component, { x: x + unitPad, y: top + titleHeight + index * (chip.height + chip.gap) });
      });
      y += unitHeight + 14;
      height = Math.max(height, y);
      return html`<rect x="${x}" y="${top}" width="${box.width}" height="${unitHeight}" rx="9" fill="var(--bg)" stroke="var(--line)"/><text class="soft" x="${x + unitPad}" y="${top + 15}">${unit.replicas > 1 ? `× ${unit.replicas}` : 'process'} · ${unit.resources.vcpu} vCPU</text>${unit.components.map(
        (component) => {
          const at = places.get(component) ?? { x: 0, y: 0 };
          return html`<rect x="${at.x}" y="${at.y}" width="${chip.width}" height="${chip.height}" rx="6" fill="var(--panel)" stroke="var(--line)"/><text x="${at.x + 9}" y="${at.y + 17}">${component.length > 19 ? `${component.slice(0, 18)}…` : component}<title>${component}</title></text>`;
        },
      )}`;
    });
  });
  const unitOf = new Map(configuration.units.flatMap((unit) => unit.components.map((component) => [component, unit.id] as const)));
  const lines = edges.flatMap(({ from, to }) => {
    const [a, b] = [places.get(from), places.get(to)];
    if (!a || !b || from === to) return [];
    return [line(a, b, unitOf.get(from) === unitOf.get(to))];
  });
  const width = used.length * (box.width + columnGap) - columnGap + 12;
  return html`<svg viewBox="0 0 ${width} ${height}" width="${width}" style="min-width:${Math.min(width, 460)}px" role="img" aria-label="${configuration.units.map((unit) => unit.components.join(', ')).join('; ')}">${boxes}${lines}</svg>`;
}

type Point = { readonly x: number; readonly y: number };

function line(a: Point, b: Point, inside: boolean): Markup {
  const middle = chip.height / 2;
  if (a.x === b.x) {
    const x = a.x + chip.width;
    const bulge = x + (inside ? 10 : 34);
    return raw(
      `<path fill="none" stroke="${inside ? 'var(--soft)' : 'var(--communication)'}" stroke-width="1.4"${inside ? ' stroke-dasharray="2 3"' : ''} d="M${x},${a.y + middle}C${bulge},${a.y + middle} ${bulge},${b.y + middle} ${x},${b.y + middle}"/>`,
    );
  }
  const [left, right] = a.x < b.x ? [a, b] : [b, a];
  const [x1, x2] = [left.x + chip.width, right.x];
  const bend = (x2 - x1) / 2;
  return raw(
    `<path fill="none" stroke="var(--communication)" stroke-width="1.6" d="M${x1},${left.y + middle}C${x1 + bend},${left.y + middle} ${x2 - bend},${right.y + middle} ${x2},${right.y + middle}"/>`,
  );
}

/** Longest call path to each unit, cut where calls go in circles. */
function depths(configuration: Configuration, edges: readonly Edge[]): Map<string, number> {
  const unitOf = new Map(configuration.units.flatMap((unit) => unit.components.map((component) => [component, unit.id] as const)));
  const depth = new Map(configuration.units.map((unit) => [unit.id, 0]));
  for (let pass = 0; pass < configuration.units.length - 1; pass++) {
    let moved = false;
    for (const { from, to } of edges) {
      const [a, b] = [unitOf.get(from), unitOf.get(to)];
      if (a === undefined || b === undefined || a === b) continue;
      const next = Math.min((depth.get(a) ?? 0) + 1, configuration.units.length - 1);
      if (next > (depth.get(b) ?? 0) && pass < 4) {
        depth.set(b, next);
        moved = true;
      }
    }
    if (!moved) break;
  }
  return depth;
}
