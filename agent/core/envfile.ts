import { readLines } from './lines.ts';
import type { Problem, SourceFile } from './problem.ts';
import { parseEnvName, parseEnvValue } from './variable.ts';

/**
 * Variables of an env_file in the grammar of `docker run --env-file`: NAME=value, comments on lines of their own that begin
 * with `#`, values exactly as written (quotes are part of them). Messages never repeat a value.
 */
export const parseEnvFile = (source: SourceFile): { env: Record<string, string> } | { problems: Problem[] } => {
  const problems: Problem[] = [];
  const found = new Map<string, { value: string; line: number }>();
  const refuse = (line: number, message: string, hint?: string, key?: string): void => {
    problems.push({
      file: source.path,
      line,
      ...(key === undefined ? {} : { key }),
      message,
      ...(hint === undefined ? {} : { hint }),
    });
  };
  const read = (text: string, line: number): void => {
    const from = text.trimStart();
    if (from === '' || from.startsWith('#')) return;
    const equals = from.indexOf('=');
    if (equals < 0) return refuse(line, 'this line has no `=`', 'write NAME=value');
    const name = parseEnvName(from.slice(0, equals));
    if (!name.ok) return refuse(line, name.message, name.hint);
    const earlier = found.get(name.value);
    if (earlier !== undefined)
      return refuse(line, `is already set in line ${earlier.line}`, 'remove one of them', name.value);
    const value = parseEnvValue(from.slice(equals + 1));
    if (!value.ok) return refuse(line, value.message, value.hint, name.value);
    found.set(name.value, { value: value.value, line });
  };
  readLines(source, problems, read, (message, _text, line) => refuse(line, message));
  if (problems.length > 0) return { problems };
  return { env: Object.fromEntries([...found].map(([name, { value }]) => [name, value])) };
};
