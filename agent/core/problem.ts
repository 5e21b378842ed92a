/** One thing wrong with one file of the admin's, in words that say where it is and what to do. */
export interface Problem {
  file: string;
  /** 1-based; absent when the problem is the file as a whole. */
  line?: number;
  section?: string;
  key?: string;
  message: string;
  hint?: string;
}

/** A text with the path it came from; `text` is null when the file could not be read (then `unreadable` says why). */
export interface SourceFile {
  path: string;
  text: string | null;
  unreadable?: string;
}

/** `file:line: key: message (hint)`, the form that editors and people can jump from. */
export const describeProblem = (p: Problem): string =>
  `${p.file}${p.line === undefined ? '' : `:${p.line}`}: ${p.key === undefined ? '' : `${p.key}: `}${p.message}` +
  (p.hint === undefined ? '' : ` (${p.hint})`);
