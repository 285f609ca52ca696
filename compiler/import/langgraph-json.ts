import { z } from 'zod';
import { type FoundSystem, scenarioName } from './found.ts';

/** The part of LangGraph's `langgraph.json` that names graphs. */
const file = z.looseObject({ graphs: z.record(z.string(), z.union([z.string(), z.looseObject({ path: z.string() })])) });

export const looksLikeLanggraphJson = (value: unknown): boolean => value !== null && typeof value === 'object' && 'graphs' in value;

export interface FoundGraphs {
  /** Graphs in JavaScript or TypeScript, which run as they are. */
  readonly graphs: readonly { readonly id: string; readonly module: string; readonly exportName: string }[];
  /** Graphs in Python: programs of their own. */
  readonly foreign: FoundSystem;
}

/** The graphs a `langgraph.json` names. Paths stay relative to its folder. */
export function foundInLanggraphJson(value: unknown, place: string): FoundGraphs | { readonly problem: string } {
  const parsed = file.safeParse(value);
  if (!parsed.success)
    return { problem: `not a langgraph.json: ${parsed.error.issues[0]?.path.join('.')}: ${parsed.error.issues[0]?.message}` };
  const entries = Object.entries(parsed.data.graphs).map(([id, where]) => {
    const [module = '', exportName = 'default'] = (typeof where === 'string' ? where : where.path).split(':');
    return { id, module, exportName };
  });
  const isPython = ({ module }: { readonly module: string }) => module.endsWith('.py');
  const python = entries.filter(isPython);
  return {
    graphs: entries.filter((entry) => !isPython(entry)),
    foreign: {
      name: python[0] === undefined ? 'graphs' : scenarioName(python[0].id),
      components: python.map(({ id, module }) => ({
        name: scenarioName(id),
        kind: 'agent',
        description: `LangGraph graph in ${module}`,
        mobility: 'replicasOnly',
        reason: 'a Python graph: a program of its own, its nodes cannot be moved apart',
        speaks: 'http-json',
        place,
      })),
      edges: [],
      ...(python.length === 1 && python[0] !== undefined ? { entry: scenarioName(python[0].id) } : {}),
      models: [],
      services: [],
      questions: python.map(({ id, module }) => ({
        about: scenarioName(id),
        text: `Which command starts ${module} as a server that answers POST / with JSON? (docs/elsewhere.md has the three lines it takes)`,
        place,
      })),
    },
  };
}
