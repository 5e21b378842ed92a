import { domainToASCII } from 'node:url';
import { bad, good, listOf, type Parsed, shown, type ValueType } from './value.ts';

const longestDomain = 253;
/** Unit and file names made from a site's name add up to 22 characters (appfleet-wake@NAME.service) and may have 255. */
export const longestSiteName = 200;

/** Endings that systemd takes for the type of a unit: `service x.target stop` would not mean x.target.service. */
const unitTypes = /\.(service|socket|target|device|mount|automount|swap|timer|path|slice|scope|snapshot|busname)$/;

const labelProblem = (label: string): string | undefined => {
  if (label === '') return 'has an empty part between two dots';
  if (label.length > 63) return 'has a part longer than 63 characters';
  if (!/^[a-z0-9-]+$/.test(label)) return 'has a character that a domain cannot have';
  if (label.startsWith('-') || label.endsWith('-')) return 'has a part that begins or ends with a hyphen';
  return undefined;
};

const toAscii = (text: string): Parsed<string> => {
  if (text === '') return bad('a domain is missing');
  if (text.length > longestDomain) return bad(`${shown(text)} is longer than ${longestDomain} characters`);
  if (text.endsWith('.')) return bad(`${shown(text)} ends with a dot`, 'leave it out');
  const stranger = /[^\p{L}\p{M}\p{N}.-]/u.exec(text)?.[0];
  if (stranger !== undefined)
    return bad(
      `${shown(text)} is not a domain: it contains ${shown(stranger)}`,
      stranger === '/' || stranger === ':' ? 'write the name alone, without scheme, port or path' : undefined,
    );
  // domainToASCII maps and encodes but hardly checks: "a..b", "-a.b" and long labels pass, "0x7f.1" becomes 127.0.0.1
  const ascii = domainToASCII(text);
  if (ascii === '') return bad(`${shown(text)} is not a domain`);
  const lower = text.toLowerCase();
  const top = ascii.slice(ascii.lastIndexOf('.') + 1);
  if (/(^|\.)\p{N}+$/u.test(text) || /^(\d+|0x[0-9a-f]*)$/.test(top) || (/^[\0-\x7f]*$/.test(text) && ascii !== lower))
    return bad(`${shown(text)} is an address, not a domain`, 'use a name');
  return good(ascii);
};

const parseName = (text: string): Parsed<string> => {
  const ascii = toAscii(text);
  if (!ascii.ok) return ascii;
  const { value } = ascii;
  if (value.length > longestDomain) return bad(`${shown(text)} is longer than ${longestDomain} characters`);
  const labels = value.split('.');
  for (const label of labels) {
    const problem = labelProblem(label);
    if (problem !== undefined) return bad(`${shown(text)} ${problem}`);
  }
  if (labels.length < 2) return bad(`${shown(text)} is not a whole domain: it has no dot`, 'write it like example.org');
  return good(value);
};

/** A domain in ASCII, lower case; a leading `*.` stays. */
export const parseDomain = (text: string): Parsed<string> => {
  if (!text.startsWith('*.')) return parseName(text);
  const rest = parseName(text.slice(2));
  if (!rest.ok) return rest;
  return rest.value.length + 2 > longestDomain
    ? bad(`${shown(text)} is longer than ${longestDomain} characters`)
    : good(`*.${rest.value}`);
};

/** The domain that a site file is named after; it also names units, so more is refused than in an alias. */
export const parseSiteName = (text: string): Parsed<string> => {
  if (text.includes('*'))
    return bad(
      'a wildcard site needs a name of its own',
      'name the file like wildcard.example.org.ini and write aliases = *.example.org in it',
    );
  const name = parseName(text);
  if (!name.ok) return name;
  const ending = unitTypes.exec(name.value)?.[0];
  if (ending !== undefined)
    return bad(`a site's name cannot end in \`${ending}\`: systemd takes that for a kind of unit`);
  if (name.value.length > longestSiteName)
    return bad(
      `a site's name may have ${longestSiteName} characters, because units and files are named after it`,
      'use a shorter name and make this one an alias',
    );
  return name;
};

const domain: ValueType<string> = {
  name: 'domain',
  form: 'example.org or *.example.org',
  comment: true,
  parse: parseDomain,
};

export const domains = listOf('domains', domain);
