import type { CompiledProfile } from './compiled-profile.ts';

/** Mean demand of one request of one class, over all its skeletons. Layout-free. */
export interface ClassDemand {
  /** Per component: event-loop ms, jobs and sum of squared job times of its own work. */
  readonly cpuMs: Float64Array;
  readonly jobs: Float64Array;
  readonly cpuSquares: Float64Array;
  readonly visits: Float64Array;
  /** Per edge: calls the caller waits for, calls it does not, and KB both ways of all of them. */
  readonly waitedCalls: Float64Array;
  readonly oneWayCalls: Float64Array;
  readonly requestKb: Float64Array;
  readonly responseKb: Float64Array;
}

export function demandOf(c: CompiledProfile): readonly ClassDemand[] {
  const rows = c.classes.map(() => ({
    cpuMs: new Float64Array(c.components.length),
    jobs: new Float64Array(c.components.length),
    cpuSquares: new Float64Array(c.components.length),
    visits: new Float64Array(c.components.length),
    waitedCalls: new Float64Array(c.edges.length),
    oneWayCalls: new Float64Array(c.edges.length),
    requestKb: new Float64Array(c.edges.length),
    responseKb: new Float64Array(c.edges.length),
  }));
  const skeletonsOf = c.classes.map(() => 0);
  const add = (into: Float64Array, index: number, value: number) => {
    into[index] = (into[index] ?? 0) + value;
  };
  c.skeletonClass.forEach((classId, skeleton) => {
    const row = rows[classId];
    if (!row) return;
    skeletonsOf[classId] = (skeletonsOf[classId] ?? 0) + 1;
    const [from, to] = [c.skeletonVisit[skeleton] ?? 0, c.skeletonVisit[skeleton + 1] ?? 0];
    for (let visit = from; visit < to; visit++) {
      const component = c.visitComponent[visit] ?? 0;
      add(row.visits, component, 1);
      for (let phase = c.visitPhase[visit] ?? 0; phase < (c.visitPhase[visit + 1] ?? 0); phase++) {
        const cpu = c.phaseCpuMs[phase] ?? 0;
        if (cpu > 0) {
          add(row.cpuMs, component, cpu);
          add(row.jobs, component, 1);
          add(row.cpuSquares, component, cpu * cpu);
        }
        for (let call = c.phaseCall[phase] ?? 0; call < (c.phaseCall[phase + 1] ?? 0); call++) {
          const edge = c.callEdge[call] ?? -1;
          if (edge < 0) continue;
          add(c.callBlocking[call] === 1 ? row.waitedCalls : row.oneWayCalls, edge, 1);
          add(row.requestKb, edge, c.callRequestKb[call] ?? 0);
          add(row.responseKb, edge, c.callResponseKb[call] ?? 0);
        }
      }
    }
  });
  rows.forEach((row, classId) => {
    const n = Math.max(1, skeletonsOf[classId] ?? 1);
    for (const array of Object.values(row)) for (let i = 0; i < array.length; i++) array[i] = (array[i] ?? 0) / n;
  });
  return rows;
}
