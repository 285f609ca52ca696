import { relative, resolve } from 'node:path';
import { type CassetteEntry, exitCodes, fail } from '../../compiler/contracts/index.ts';
import { readCassette, readWholeCassette, writeCassette } from '../../runtime/replay/cassette-file.ts';
import { table } from '../render/format.ts';

/** Writes the union of cassettes. Their order does not matter, and merging twice changes nothing. */
export async function mergeCassettes(files: readonly string[], options: { readonly out: string }): Promise<number> {
  const parts = await Promise.all(files.map(readWholeCassette));
  const merged = await writeCassette(resolve(options.out), ...parts);
  process.stdout.write(`Wrote ${relative(process.cwd(), resolve(options.out)) || options.out}: ${merged.length} entries\n`);
  return exitCodes.success;
}

/** What a cassette holds, per model, tool and agent; no content. */
export async function showCassette(file: string, options: { readonly json?: boolean }): Promise<number> {
  const { entries, problems, torn } = await readCassette(file);
  const rows = summaryOf(entries);
  if (options.json)
    process.stdout.write(`${JSON.stringify({ entries: entries.length, damaged: problems.length, torn, targets: rows }, null, 2)}\n`);
  else {
    const head = ['kind', 'of', 'entries', 'questions', 'conversations', 'replies', 'tokens in', 'tokens out'];
    const lines = rows.map((row) => [
      row.kind,
      row.target,
      ...[row.entries, row.questions, row.conversations, row.replies, row.tokensIn, row.tokensOut].map(String),
    ]);
    process.stdout.write(`${table([head, ...lines], [2, 3, 4, 5, 6, 7])}\n`);
    if (problems.length > 0) process.stdout.write(`${problems.length} damaged lines: dmas-opt cassette check names them\n`);
  }
  return exitCodes.success;
}

function summaryOf(entries: readonly CassetteEntry[]) {
  const groups = new Map<string, CassetteEntry[]>();
  for (const entry of entries) {
    const key = `${entry.kind} ${entry.target}`;
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  const sum = (list: readonly CassetteEntry[], of: (entry: CassetteEntry) => number | undefined) =>
    list.reduce((total, entry) => total + (of(entry) ?? 0), 0);
  return [...groups.values()].map((list) => ({
    kind: list[0]?.kind ?? 'model',
    target: list[0]?.target ?? '',
    entries: list.length,
    questions: new Set(list.map((entry) => entry.keys.loose)).size,
    conversations: new Set(list.flatMap((entry) => entry.conversation ?? [])).size,
    replies: list.filter((entry) => entry.reply.content !== undefined).length,
    tokensIn: sum(list, (entry) => entry.reply.usage?.tokensIn),
    tokensOut: sum(list, (entry) => entry.reply.usage?.tokensOut),
  }));
}

/** Reads every line and says which cannot be relied on. */
export async function checkCassette(file: string): Promise<number> {
  const { entries, problems, torn } = await readCassette(file);
  for (const { line, message } of problems) process.stdout.write(`${file}:${line}  ${message}\n`);
  if (torn) process.stdout.write('the last line has no end: its writer died while writing it; it is left out\n');
  if (problems.length > 0)
    fail('DMAS_CASSETTE_DAMAGED', `${problems.length} of ${entries.length + problems.length} lines of ${file} are no entries`);
  process.stdout.write(`${file} is whole: ${entries.length} entries\n`);
  return exitCodes.success;
}
