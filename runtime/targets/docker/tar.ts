/** One entry of a tar archive; a folder when it has no content. Paths are relative to the root, without a leading slash. */
export interface TarEntry {
  readonly path: string;
  readonly content?: Uint8Array;
  readonly mode: number;
}

const blockBytes = 512;

/** A tar archive (POSIX ustar, IEEE 1003.1-1988) of whole files in memory, as a stream of chunks. */
export function* tar(entries: Iterable<TarEntry>): Generator<Uint8Array> {
  for (const entry of entries) {
    yield header(entry);
    if (!entry.content) continue;
    yield entry.content;
    const rest = entry.content.length % blockBytes;
    if (rest > 0) yield new Uint8Array(blockBytes - rest);
  }
  yield new Uint8Array(2 * blockBytes);
}

/** Times and owners are zero, so that equal files make equal archives. */
function header({ path, content, mode }: TarEntry): Uint8Array {
  const name = Buffer.from(content ? path : `${path}/`);
  if (name.length > 100) throw new RangeError(`${path} is too long for a plain tar header`);
  const block = Buffer.alloc(blockBytes);
  const octal = (value: number, at: number, width: number) => block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at, 'latin1');
  name.copy(block, 0);
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(content?.length ?? 0, 124, 12);
  octal(0, 136, 12);
  // The checksum counts its own field as spaces.
  block.write('        ', 148, 'latin1');
  block.write(content ? '0' : '5', 156, 'latin1');
  block.write('ustar\u000000', 257, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/**
 * Plain files and folders of an archive as the engine writes them (ustar, with names that are too long for it in PAX
 * headers, POSIX.1-2001); links and devices are left out.
 */
export function untar(archive: Buffer): TarEntry[] {
  const entries: TarEntry[] = [];
  let longName: string | undefined;
  for (let at = 0; at + blockBytes <= archive.length; ) {
    const header = archive.subarray(at, at + blockBytes);
    const field = (from: number, length: number) => header.toString('utf8', from, from + length).replace(/\0.*$/s, '');
    if (field(0, 100) === '') break;
    const size = Number.parseInt(field(124, 12), 8) || 0;
    const content = archive.subarray(at + blockBytes, at + blockBytes + size);
    at += blockBytes + Math.ceil(size / blockBytes) * blockBytes;
    const type = field(156, 1);
    if (type === 'x') {
      longName = /\d+ path=(.*)\n/.exec(content.toString('utf8'))?.[1];
      continue;
    }
    const prefix = field(345, 155);
    const path = (longName ?? (prefix === '' ? field(0, 100) : `${prefix}/${field(0, 100)}`)).replace(/\/$/, '');
    longName = undefined;
    const mode = Number.parseInt(field(100, 8), 8) || 0;
    if (type === '5') entries.push({ path, mode });
    else if (type === '0' || type === '') entries.push({ path, mode, content });
  }
  return entries;
}
