import type { FoundComponent, FoundEdge, FoundModel, FoundSystem, Question } from './found.ts';

/**
 * Several sources of one system as one. A component named by two sources takes from each what the other does not say:
 * `systems` are in order of trust for what both say. An edge seen beats one guessed.
 */
export function joinSystems(systems: readonly FoundSystem[]): FoundSystem {
  const components = new Map<string, FoundComponent>();
  const edges = new Map<string, FoundEdge>();
  const models = new Map<string, FoundModel>();
  const questions = new Map<string, Question>();
  for (const system of systems) {
    for (const component of system.components) {
      const before = components.get(component.name);
      components.set(component.name, before === undefined ? component : both(before, component));
    }
    for (const edge of system.edges) {
      const key = `${edge.from}\n${edge.to}`;
      const before = edges.get(key);
      if (before === undefined || (before.certainty === 'guessed' && edge.certainty === 'seen')) edges.set(key, edge);
    }
    for (const model of system.models) {
      const before = models.get(model.name);
      models.set(
        model.name,
        before === undefined ? model : { ...model, ...before, usedBy: [...new Set([...before.usedBy, ...model.usedBy])] },
      );
    }
    for (const question of system.questions) questions.set(`${question.about}\n${question.text}`, question);
  }
  const entry = systems.find((system) => system.entry !== undefined)?.entry;
  return {
    name: systems[0]?.name ?? 'imported',
    components: [...components.values()],
    edges: [...edges.values()],
    ...(entry === undefined ? {} : { entry }),
    models: [...models.values()],
    services: [...new Map(systems.flatMap((system) => system.services).map((service) => [service.name, service])).values()],
    questions: stillOpen([...questions.values()], [...edges.values()]),
  };
}

/** What is known from how it is deployed wins over what is only seen of it. */
function both(first: FoundComponent, second: FoundComponent): FoundComponent {
  const [stronger, weaker] = first.run === undefined && second.run !== undefined ? [second, first] : [first, second];
  return { ...weaker, ...stronger, place: `${first.place}, ${second.place}` };
}

/** A question whether an edge exists is answered by an edge that was seen. */
function stillOpen(questions: readonly Question[], edges: readonly FoundEdge[]): readonly Question[] {
  const seen = new Set(edges.filter((edge) => edge.certainty === 'seen').map((edge) => `${edge.from}\n${edge.to}`));
  return questions.filter(({ edge }) => edge === undefined || !seen.has(`${edge.from}\n${edge.to}`));
}
