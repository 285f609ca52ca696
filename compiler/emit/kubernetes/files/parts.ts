import type { EmittedFile } from '../../emitter.ts';
import type { Context } from '../context.ts';
import { secretNameOf } from '../environment.ts';
import type { KubernetesObject } from '../input.ts';
import { printObjects } from './yaml.ts';

export const shell = (commands: readonly string[]): string[] => ['```sh', ...commands, '```'];

export function secretFiles(templates: readonly KubernetesObject[]): readonly EmittedFile[] {
  if (templates.length === 0) return [];
  const head = [
    'Secrets the pods refer to, each held by one unit alone. This file is no part of the kustomization: applied as it is,',
    'it would empty the Secrets that are there. Fill in a copy that no repository gets, and apply that once.',
  ];
  return [{ path: 'secrets.example.yaml', content: printObjects(templates, head) }];
}

/** How Secrets are created, for a README; empty when nobody needs any. */
export function secretSteps(context: Context, kubectl: string): string[] {
  const steps = context.members
    .filter(({ secrets }) => secrets.length > 0)
    .map(
      ({ id, secrets }) =>
        `${kubectl} create secret generic ${secretNameOf(context, id)} ${secrets.map((name) => `--from-literal=${name}="$${name}"`).join(' ')}`,
    );
  return steps.length === 0 ? [] : ['', 'Secrets, from variables of your shell, each for the one unit that needs it:', '', ...shell(steps)];
}
