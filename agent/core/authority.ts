/** Values that say which certificate authority issues, to whom, and how it finds this host. */
import { parseDomain } from './domain.ts';
import { bad, good, listOf, type Parsed, shown, type ValueType, wordOf } from './value.ts';

/** Directories that have a name of their own (letsencrypt.org/docs/acme-protocol-updates and staging-environment). */
const named: Readonly<Record<string, string>> = {
  letsencrypt: 'https://acme-v02.api.letsencrypt.org/directory',
  'letsencrypt-staging': 'https://acme-staging-v02.api.letsencrypt.org/directory',
};

const longestUrl = 500;

const parseDirectory = (text: string): Parsed<string | null> => {
  if (text === 'none') return good(null);
  if (Object.hasOwn(named, text)) return good(named[text] ?? null);
  const hint = `write ${Object.keys(named).join(', ')}, none, or the https:// address of a directory`;
  if (!/^https:\/\/[A-Za-z0-9.[\]:_-]+(\/[A-Za-z0-9._~/%=&?+,:-]*)?$/.test(text) || !URL.canParse(text))
    return bad(`${shown(text)} is not the directory of a certificate authority`, hint);
  return text.length > longestUrl ? bad(`the address is longer than ${longestUrl} characters`) : good(text);
};

/** URL of an ACME directory (RFC 8555 7.1.1); null for none. */
export const directory: ValueType<string | null> = {
  name: 'directory',
  form: 'letsencrypt, letsencrypt-staging, none, or the https:// address of an ACME directory',
  comment: true,
  parse: parseDirectory,
};

/** The characters that RFC 6068 lets a mailto: hold without encoding, and no `?`, which would add header fields to it. */
const mailbox = /^[A-Za-z0-9!$'*+_~-]+(\.[A-Za-z0-9!$'*+_~-]+)*$/;

const parseEmail = (text: string): Parsed<string> => {
  const at = text.lastIndexOf('@');
  const domain = parseDomain(text.slice(at + 1));
  if (at < 1 || text.length > 254 || !mailbox.test(text.slice(0, at)) || text.includes('*.'))
    return bad(`${shown(text)} is not an e-mail address`, 'write it like admin@example.org');
  return domain.ok ? good(`${text.slice(0, at)}@${domain.value}`) : domain;
};

export const emails = listOf('e-mail addresses', {
  name: 'e-mail address',
  form: 'admin@example.org',
  comment: true,
  parse: parseEmail,
});

/** What a CA calls the key of an external account binding (RFC 8555 7.3.4: an ASCII string). */
export const keyId = wordOf(
  'key id',
  'printable ASCII without blanks',
  /^[\x21-\x7e]{1,400}$/,
  'a key id: it has up to 400 printable ASCII characters without blanks',
  false,
);

export const profile = wordOf(
  'profile',
  'a word like shortlived',
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
  'the name of a profile',
  false,
);

const ipv4 = /^(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;

/** In the form that compares: IPv6 shortened as RFC 5952 has it. */
const parseAddress = (text: string): Parsed<string> => {
  if (ipv4.test(text)) return good(text);
  if (/^[0-9A-Fa-f:.]{2,45}$/.test(text) && text.includes(':') && URL.canParse(`http://[${text}]/`))
    return good(new URL(`http://[${text}]/`).hostname.slice(1, -1));
  return bad(`${shown(text)} is not an IP address`, 'write addresses like 192.0.2.1 or 2001:db8::1, or any');
};

/** One IP address. */
export const address: ValueType<string> = {
  name: 'address',
  form: '192.0.2.1 or 2001:db8::1',
  comment: true,
  parse: parseAddress,
};

const list = listOf('addresses', address);

/** IP addresses, or `any`. */
export const addresses: ValueType<readonly string[] | 'any'> = {
  ...list,
  form: `${list.form}; or any`,
  parse: (text) => (text === 'any' ? good('any') : list.parse(text)),
};
