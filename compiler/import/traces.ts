import type { InferredComponent, InferredWorkflow } from '../../profiler/analyze/infer-workflow.ts';
import { calledIfOther, type FoundComponent, type FoundSystem } from './found.ts';

/** What traces say of a system: who there is and who calls whom for certain, how it is run not at all. */
export function foundInTraces(inferred: InferredWorkflow, name: string, place: string): FoundSystem {
  const slugOf = new Map(inferred.components.map((component) => [component.name, component.slug]));
  const slug = (traced: string) => slugOf.get(traced) ?? traced;
  const parts = inferred.components.filter((component) => isPart(component.kind));
  const entry = inferred.workflow.entry.kind === 'agent' ? inferred.workflow.entry.agent : '';
  return {
    name,
    components: parts.map((component) => componentOf(component, inferred, place)),
    edges: inferred.edges.map((edge) => ({ from: slug(edge.from), to: slug(edge.to), certainty: 'seen', place })),
    ...(entry === '' ? {} : { entry: slug(entry) }),
    models: inferred.components
      .filter(({ kind }) => kind === 'model')
      .map((model) => ({ name: model.slug, model: model.name, usedBy: callersOf(model.name, inferred).map(slug), place })),
    services: inferred.components
      .filter(({ kind }) => kind === 'database' || kind === 'queue')
      .map((service) => ({ name: service.name, what: service.kind, place })),
    questions: inferred.questions.map(({ about, question }) => ({ about: about.map(slug).join(', '), text: question, place })),
  };
}

const isPart = (kind: InferredComponent['kind']) =>
  kind === 'agent' || kind === 'tool' || kind === 'tool server' || kind === 'service' || kind === 'outside';

function componentOf(component: InferredComponent, inferred: InferredWorkflow, place: string): FoundComponent {
  const unit = inferred.baseline.units.find(({ components }) => components.includes(component.name));
  return {
    name: component.slug,
    ...calledIfOther(component.name),
    kind: component.kind === 'tool server' ? 'toolServer' : 'agent',
    mobility: component.mobility,
    reason: component.reason,
    ...(component.kind === 'tool server' ? { tools: component.holds } : {}),
    ...(unit === undefined ? {} : { replicas: unit.replicas }),
    place,
  };
}

const callersOf = (model: string, { workflow }: InferredWorkflow): readonly string[] =>
  workflow.channels.filter((channel) => channel.kind === 'model' && channel.to.includes(model)).flatMap((channel) => channel.from);
