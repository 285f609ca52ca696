import { createHash } from 'node:crypto';

/** What is kept of a text while a file is read, to find it again in later calls: its hash and length, never itself. */
export interface ContentMark {
  readonly hash: string;
  /** UTF-16 units; for comparing with others of its kind only. */
  readonly size: number;
}

export const markOf = (text: string): ContentMark => ({
  hash: createHash('sha256').update(text).digest('base64').slice(0, 16),
  size: text.length,
});
