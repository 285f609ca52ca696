import type { Descriptor } from '../compiler/contracts/index.ts';
import type { Report } from './report.ts';

export interface OutputFile {
  readonly name: string;
  readonly content: string;
}

/** Report → files. Pure; reads only the report. */
export interface View {
  render(report: Report): readonly OutputFile[];
}

export type ViewDescriptor = Descriptor<'view', { readonly files: readonly string[] }, View>;
export const defineView = (descriptor: Omit<ViewDescriptor, 'kind'>): ViewDescriptor => ({ kind: 'view', ...descriptor });
