/** Reads text files, and reads one again only when it changed: a look at a file costs a fifth of reading it. */
import type { Files } from '../ports.ts';

/**
 * Text of a file, null when there is none; throws as Files.read does. `expected` is what the caller thinks is in it: where that is
 * so, the same string is given back, so that a thousand files are not in memory twice.
 */
export type Reader = (path: string, expected?: string) => Promise<string | null>;

export const createReader = (files: Pick<Files, 'read' | 'stamp'>): Reader => {
  const known = new Map<string, { stamp: string; text: string }>();
  return async (path, expected) => {
    // Before the text is read: what changes in between has another stamp the next time.
    const stamp = await files.stamp(path);
    const last = known.get(path);
    if (last !== undefined && stamp === last.stamp) {
      if (last.text === expected) last.text = expected;
      return last.text;
    }
    known.delete(path);
    const text = await files.read(path);
    if (text === null) return null;
    const kept = text === expected ? expected : text;
    if (stamp !== null) known.set(path, { stamp, text: kept });
    return kept;
  };
};
