/** Reads text files, and reads one again only when it changed: a look at a file costs a fifth of reading it. */
import type { Files } from '../ports.ts';

/**
 * Text of a file, null when there is none; throws as Files.read does. `expected` is what the caller thinks is in it: where that is
 * so, the same string is given back, so that a thousand files are not in memory twice.
 */
export type Reader = (path: string, expected?: string) => Promise<string | null>;

/**
 * Remembers texts from one look at the host to the next; each call begins a look, and gives the reader for it. Within one look
 * a file is looked at once.
 */
export const createReaders = (files: Pick<Files, 'read' | 'stamp'>): (() => Reader) => {
  const known = new Map<string, { stamp: string; text: string }>();
  const read = async (path: string, expected: string | undefined): Promise<string | null> => {
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
  return () => {
    const seen = new Map<string, Promise<string | null>>();
    return (path, expected) => {
      const once = seen.get(path) ?? read(path, expected);
      seen.set(path, once);
      return once;
    };
  };
};
