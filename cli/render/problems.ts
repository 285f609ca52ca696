import { relative } from 'node:path';
import pc from 'picocolors';
import type { Problem } from '../../compiler/contracts/index.ts';

/**
 * A problem in its surroundings:
 *
 *     scenario.yaml:14:15  error  DMAS_CFG_UNKNOWN_PROTOCOL
 *       14 |     protocol: grcp
 *          |               ^^^^ unknown protocol "grcp"; did you mean "grpc"? (allowed: …)
 */
export function renderProblem(problem: Problem, textOf: (file: string) => string | undefined, cwd = process.cwd()): string {
  const { at } = problem;
  const place = at ? `${relative(cwd, at.file) || at.file}${at.line === undefined ? '' : `:${at.line}:${at.column ?? 1}`}` : '';
  const severity = problem.severity === 'error' ? pc.red('error') : pc.yellow('warning');
  const head = [place && pc.bold(place), severity, pc.dim(problem.code)].filter(Boolean).join('  ');
  const says = [
    problem.message,
    problem.didYouMean === undefined ? '' : `; did you mean "${problem.didYouMean}"?`,
    problem.allowed?.length ? ` (allowed: ${problem.allowed.join(', ')})` : '',
  ].join('');
  const source = at?.line === undefined ? undefined : textOf(at.file)?.split('\n');
  const lines =
    source && at?.line !== undefined ? [...context(source, at.line), caret(at.line, at.column ?? 1, at.length ?? 1, says)] : [`  ${says}`];
  if (problem.fix) lines.push(`  ${pc.cyan('fix')}: ${problem.fix}`);
  lines.push(pc.dim(`  help: dmas-opt explain ${problem.code}`));
  return [head, ...lines].join('\n');
}

function context(source: readonly string[], line: number): string[] {
  const shown = line > 1 ? [line - 1, line] : [line];
  return shown.map((number) => `  ${pc.dim(`${String(number).padStart(4)} |`)} ${source[number - 1] ?? ''}`);
}

const caret = (line: number, column: number, length: number, says: string) =>
  `  ${pc.dim(`${' '.repeat(Math.max(4, String(line).length))} |`)} ${' '.repeat(column - 1)}${pc.red('^'.repeat(length))} ${says}`;

export function renderProblems(problems: readonly Problem[], textOf: (file: string) => string | undefined): string {
  const errors = problems.filter((problem) => problem.severity === 'error').length;
  const warnings = problems.length - errors;
  const count = (n: number, word: string) => `${n} ${word}${n === 1 ? '' : 's'}`;
  const summary = [errors > 0 ? count(errors, 'error') : '', warnings > 0 ? count(warnings, 'warning') : ''].filter(Boolean).join(', ');
  return [...problems.map((problem) => renderProblem(problem, textOf)), summary].join('\n\n');
}
