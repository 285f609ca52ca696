import type { PlannedTopic, Workflow } from '../contracts/index.ts';

/** The ingress as a subscriber of the completion topic and as a publisher of the entry topic. */
export const ingressName = 'ingress';

/** Who gets the messages of a topic: declared order, the ingress last. */
export function subscribersOf(workflow: Workflow, topic: string): readonly string[] {
  const declared = workflow.topics.find((candidate) => candidate.name === topic)?.subscribers ?? [];
  const { entry } = workflow;
  return entry.kind === 'topic' && entry.complete === topic ? [...declared, ingressName] : declared;
}

export function publishersOf(workflow: Workflow, topic: string): readonly string[] {
  const declared = workflow.topics.find((candidate) => candidate.name === topic)?.publishers ?? [];
  const { entry } = workflow;
  return entry.kind === 'topic' && entry.publish === topic ? [ingressName, ...declared] : declared;
}

/** The topics that concern a unit: published or heard by its components, or by the ingress when it is there. */
export function topicsOf(workflow: Workflow, components: readonly string[], ingress: boolean): readonly PlannedTopic[] {
  const here = ingress ? [...components, ingressName] : components;
  return workflow.topics
    .filter(({ name }) => [...publishersOf(workflow, name), ...subscribersOf(workflow, name)].some((end) => here.includes(end)))
    .map(({ name, delivery }) => ({ name, delivery, subscribers: subscribersOf(workflow, name) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
