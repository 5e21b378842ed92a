/** Names and values of environment variables and of response headers. */
import { bad, forbidden, good, longestValue, type Parsed, shown, type ValueType } from './value.ts';

/** A variable's name. It is repeated in messages only when it looks like one: it may be the end of a pasted secret. */
export const parseEnvName = (text: string): Parsed<string> => {
  if (text === '__proto__' || text.length > 255) return bad('this cannot be the name of a variable');
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(text)) return good(text);
  const what = /^[A-Za-z0-9_.-]{1,40}$/.test(text) ? shown(text) : 'this';
  return bad(`${what} cannot be the name of a variable`, 'use letters, digits and _, and no digit at the start');
};

/** Any text of one line. The message never repeats it. */
export const parseEnvValue = (text: string): Parsed<string> => {
  if (forbidden.test(text)) return bad('the value holds a control character or a line break');
  return text.length > longestValue ? bad(`the value is longer than ${longestValue} characters`) : good(text);
};

/** Headers that belong to the connection or to the body: setting them breaks the answer. */
const ownHeaders = new Set(
  'connection content-encoding content-length content-range content-type date keep-alive location server te trailer transfer-encoding upgrade'.split(
    ' ',
  ),
);

/** The name of a response header: a token of RFC 9110, section 5.6.2. */
export const parseHeaderName = (text: string): Parsed<string> => {
  if (!/^[A-Za-z][A-Za-z0-9-]{0,99}$/.test(text))
    return bad(`${shown(text)} is not the name of a header`, 'use letters, digits and hyphens');
  return ownHeaders.has(text.toLowerCase()) ? bad(`${shown(text)} is set by nginx or the program itself`) : good(text);
};

/** nginx reads a word of 4,096 bytes at most, with the backslashes that quoting adds. */
const longestHeader = 3900;

/** The value of a response header: printable ASCII in which nginx expands nothing. */
export const parseHeaderValue = (text: string): Parsed<string> => {
  if (text === '') return bad('a header needs a value');
  if (text.length + (text.match(/["\\]/g)?.length ?? 0) > longestHeader)
    return bad(`the value is longer than ${longestHeader} characters, which nginx could not read`);
  if (text.includes('$')) return bad('the value holds a `$`, which nginx would take for a variable');
  return /^[\x20-\x7e]+$/.test(text) ? good(text) : bad('a header can contain only printable ASCII characters');
};

const free = (name: string, form: string, parse: (text: string) => Parsed<string>): ValueType<string> => ({
  name,
  form,
  comment: false,
  parse,
});

export const envValue = free('text', 'any text of one line', parseEnvValue);
export const headerValue = free('header', 'printable ASCII without $', parseHeaderValue);
