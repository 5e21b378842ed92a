/** The lines of an admin's file, with what no text file may hold refused before anybody reads them. */
import type { Problem, SourceFile } from './problem.ts';
import { forbidden } from './value.ts';

/** Longest file, in UTF-16 units. */
export const longestFile = 256 * 1024;
const mostProblems = 100;

const refusal = (text: string): string | undefined => {
  const found = forbidden.exec(text.replaceAll('\t', ' '))?.[0];
  if (found === undefined) return undefined;
  if (found === '\ufffd') return 'this line is not UTF-8 text';
  const code = (found.codePointAt(0) ?? 0).toString(16).padStart(4, '0').toUpperCase();
  return `this line holds a character that is not text (U+${code})`;
};

/** The text without the byte order mark that some editors write. */
export const withoutMark = (text: string): string => (text.startsWith('\ufeff') ? text.slice(1) : text);

/**
 * Calls `read` for each sound line (numbered from 1) and `refuse` for each other one, until there are too many problems.
 * A file that cannot be read, or is far too large to be one of ours, is one problem and no lines.
 */
export const readLines = (
  source: SourceFile,
  problems: Problem[],
  read: (text: string, line: number) => void,
  refuse: (message: string, text: string, line: number) => void,
): void => {
  const file = source.path;
  if (source.text === null) {
    problems.push({
      file,
      message: `cannot be read${source.unreadable === undefined ? '' : `: ${source.unreadable}`}`,
    });
    return;
  }
  if (source.text.length > longestFile) {
    problems.push({ file, message: `is larger than ${longestFile / 1024} KiB; nothing in it was read` });
    return;
  }
  for (const [index, text] of withoutMark(source.text).split(/\r?\n/).entries()) {
    const message = refusal(text);
    if (message === undefined) read(text, index + 1);
    else refuse(message, text, index + 1);
    if (problems.length < mostProblems) continue;
    problems.push({ file, line: index + 1, message: 'has too many problems; nothing after this line was read' });
    return;
  }
};
