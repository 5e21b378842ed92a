/**
 * Reads an ini text line by line, so that every problem has a line. The `ini` package decodes quoted values.
 *
 * INVARIANTS
 * - A text without problems means to `ini.parse` exactly what it means here (a property test proves it).
 * - An unquoted value means exactly what is written. What `ini` would cut at `;` or `#`, or change at a backslash, is a problem.
 * - No message repeats a value: it could be a password.
 */
import ini from 'ini';
import { readLines } from './lines.ts';
import type { Problem, SourceFile } from './problem.ts';
import { forbidden, longestValue, shown } from './value.ts';

export interface Entry {
  /** Empty for a key above the first section. */
  section: string;
  key: string;
  value: string;
  line: number;
}

export interface IniText {
  entries: Entry[];
  /** Line of each section. */
  sections: Map<string, number>;
  problems: Problem[];
}

type Refusal = { message: string; hint?: string };
type Read = { value: string } | Refusal;

const quoteHint = (key: string): string =>
  `put the whole value in double quotes, ${key} = "...", and write \\" for a quote and \\\\ for a backslash inside`;

const readQuoted = (raw: string, key: string): Read => {
  const decoded: unknown = ini.unsafe(raw);
  const closed = raw.length > 1 && raw.endsWith('"');
  // ini gives a text that is no JSON string back as it stands, quotes and all
  if (closed && decoded !== raw) return { value: String(decoded) };
  if (closed) return { message: 'the text between the quotes has a wrong quote or backslash', hint: quoteHint(key) };
  if (/"\s*[;#]/.test(raw.slice(1)))
    return { message: 'a comment cannot follow a quoted value', hint: 'put the comment on a line of its own' };
  return { message: 'a value that begins with a quote must end with it', hint: quoteHint(key) };
};

const readPlain = (raw: string, key: string, comment: boolean): Read => {
  if (raw.startsWith("'")) return { message: 'a value cannot begin with a single quote', hint: quoteHint(key) };
  const place = comment ? /\s[;#]/.exec(raw) : null;
  const value = (place === null ? raw : raw.slice(0, place.index)).trim();
  const mark = /[;#]/.exec(value)?.[0];
  if (mark !== undefined)
    return {
      message: `an unquoted \`${mark}\` would end the value here`,
      hint: `${quoteHint(key)}; a comment needs its own line`,
    };
  if (/\\[\\;#]/.test(value)) return { message: 'a backslash here would change the value', hint: quoteHint(key) };
  return { value };
};

const readValue = (text: string, key: string, comment: boolean): Read => {
  const raw = text.trim();
  const read = raw.startsWith('"') ? readQuoted(raw, key) : readPlain(raw, key, comment);
  if (!('value' in read)) return read;
  if (forbidden.test(read.value)) return { message: 'the value holds a control character or a line break' };
  if (read.value.length > longestValue) return { message: `the value is longer than ${longestValue} characters` };
  return read;
};

const readKey = (text: string): { key: string } | Refusal => {
  const key = text.trim();
  if (key === '') return { message: 'there is no key before the `=`' };
  if (key.endsWith('[]'))
    return {
      message: `\`[]\` after a key has no meaning here`,
      hint: 'write the values in one line, with commas between',
    };
  // `__proto__` is what ini drops in silence
  if (!/^[A-Za-z0-9_-]{1,255}$/.test(key) || key === '__proto__')
    return { message: 'what stands before the `=` cannot be a key' };
  return { key };
};

const readSection = (text: string): { section: string } | Refusal => {
  const name = /^\[([^\]]*)\]\s*$/.exec(text)?.[1]?.trim();
  if (name === undefined && /^\s*\[[^\]]*\]\s*[;#]/.test(text))
    return { message: 'a comment cannot follow a section', hint: 'put the comment on a line of its own' };
  if (name === undefined && /^\s+\[[^\]]*\]\s*$/.test(text))
    return { message: 'a section must begin at the start of the line', hint: 'remove the blanks before it' };
  if (name === undefined)
    return { message: 'this is not a section: it is not closed or has more after it', hint: 'write [name] alone' };
  if (!/^[A-Za-z][A-Za-z0-9_-]{0,63}$/.test(name)) return { message: `${shown(name)} cannot be the name of a section` };
  return { section: name };
};

/** Entries and problems of an ini text; `allowsComment` says for which keys a comment may follow the value. */
export const readIni = (source: SourceFile, allowsComment: (section: string, key: string) => boolean): IniText => {
  const result: IniText = { entries: [], sections: new Map(), problems: [] };
  const file = source.path;
  const first = new Map<string, number>();
  let section = '';
  let orphaned = false;

  const refuseAt = (line: number, refusal: Refusal, key?: string): void => {
    const where = { ...(section === '' ? {} : { section }), ...(key === undefined ? {} : { key }) };
    result.problems.push({ file, line, ...where, ...refusal });
  };

  const readLine = (text: string, line: number): void => {
    const refuse = (refusal: Refusal, key?: string): void => refuseAt(line, refusal, key);
    if (/^\s*([;#]|$)/.test(text)) return;
    if (/^\s*\[/.test(text)) {
      const read = readSection(text);
      if (!('section' in read)) return refuse(read);
      section = read.section;
      const earlier = result.sections.get(section);
      if (earlier === undefined) result.sections.set(section, line);
      else refuse({ message: `section [${section}] is already in line ${earlier}`, hint: 'join the two' });
      return;
    }
    const equals = text.indexOf('=');
    if (equals < 0)
      return refuse({ message: 'this line has no `=`', hint: 'write key = value, or begin a comment with `;`' });
    const name = readKey(text.slice(0, equals));
    if (!('key' in name)) return refuse(name);
    const { key } = name;
    if (section === '' && !orphaned) {
      orphaned = true;
      refuse({ message: 'this line is above the first section', hint: 'sections are written like [site]' }, key);
    }
    const earlier = first.get(`${section}\n${key}`);
    if (earlier !== undefined)
      return refuse({ message: `is already set in line ${earlier}`, hint: 'remove one of them' }, key);
    first.set(`${section}\n${key}`, line);
    const read = readValue(text.slice(equals + 1), key, allowsComment(section, key));
    if (!('value' in read)) return refuse(read, key);
    result.entries.push({ section, key, value: read.value, line });
  };

  readLines(source, result.problems, readLine, (message, text, line) =>
    // the key, where there is one, so that nobody goes on to say that it is missing
    refuseAt(line, { message }, /^\s*([A-Za-z0-9_-]{1,255})\s*=/.exec(text)?.[1]),
  );
  return result;
};
