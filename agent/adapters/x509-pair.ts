/** A certificate chain and its key as files hold them (RFC 7468): told apart, read, and held against each other. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { CertificateDetails } from '../certificates/ports.ts';
import { AppFleetError, messageOf } from '../errors.ts';

/** Far more than a chain or a key ever has; in characters. */
const largest = 256 * 1024;
const mostCertificates = 10;
/** A certificate made this moment by a CA whose clock is ahead of ours is fine; seconds. */
const clockTolerance = 5 * 60;

const unusable = (message: string, cause?: unknown, hint?: string): AppFleetError =>
  new AppFleetError('AF_CERTIFICATE', message, { cause, ...(hint === undefined ? {} : { hint }) });

interface Block {
  label: string;
  text: string;
}

/** The parts of a PEM text. Text between them is allowed: many tools write what is in a certificate above it. */
const blocksOf = (pem: string, what: string): Block[] => {
  if (pem.length > largest) throw unusable(`the ${what} is larger than ${largest / 1024} KB`);
  if (pem.includes('\0')) throw unusable(`the ${what} is not a text in PEM`);
  const blocks: Block[] = [];
  // Line by line: a regular expression for the whole would look for an end again and again in a text full of beginnings.
  let open: { label: string; lines: string[] } | null = null;
  for (const line of pem.split(/\r\n|\n|\r/)) {
    const [, edge, label = ''] = /^-----(BEGIN|END) ([A-Z0-9 ]{1,40})-----[ \t]*$/.exec(line) ?? [];
    if (edge === 'BEGIN') {
      if (open !== null) throw unusable(`the ${what} is cut off: a part of it has no end`);
      open = { label, lines: [line.trimEnd()] };
      continue;
    }
    open?.lines.push(line.trimEnd());
    if (edge !== 'END') continue;
    if (open?.label !== label) throw unusable(`the ${what} is damaged: a part of it has no beginning`);
    blocks.push({ label, text: `${open.lines.join('\n')}\n` });
    open = null;
  }
  if (open !== null) throw unusable(`the ${what} is cut off: a part of it has no end`);
  return blocks;
};

/** Of what OpenSSL says only the reason: `error:0480006C:PEM routines::no start line` is for nobody. */
const reasonOf = (error: unknown): string => messageOf(error).replace(/^error:[0-9A-F]+:[^:]*:[^:]*:/i, '');

/** A thousand sites have a handful of issuers, and a pair that was read is mostly checked next. */
const mostRemembered = 32;

/** What was made for a key lately, or else made now. */
const remembered = <K, V>(memory: Map<K, V>, key: K, make: () => V): V => {
  const value = memory.get(key) ?? make();
  memory.delete(key);
  memory.set(key, value);
  for (const oldest of memory.keys()) {
    if (memory.size <= mostRemembered) break;
    memory.delete(oldest);
  }
  return value;
};

const parsed = new Map<string, X509Certificate>();
const described = new Map<X509Certificate, CertificateDetails>();

/** The certificates of a chain file as they stand. Throws AF_CERTIFICATE. */
export const readChain = (pem: string): X509Certificate[] => {
  const blocks = blocksOf(pem, 'certificate');
  if (blocks.some(({ label }) => label.endsWith('PRIVATE KEY')))
    throw unusable(
      'the file with the certificate holds a private key',
      undefined,
      'put the key into a file of its own',
    );
  const certificates = blocks.filter(({ label }) => label === 'CERTIFICATE');
  if (certificates.length === 0) throw unusable('there is no certificate in PEM in the file');
  if (certificates.length > mostCertificates)
    throw unusable(`the chain has more than ${mostCertificates} certificates`);
  return certificates.map(({ text }, at) => {
    try {
      return remembered(parsed, text, () => new X509Certificate(text));
    } catch (error) {
      throw unusable(`certificate ${at + 1} cannot be read: ${reasonOf(error)}`, error);
    }
  });
};

/** The one private key in a PEM text. Throws AF_CERTIFICATE. */
export const readKey = (pem: string): KeyObject => {
  const keys = blocksOf(pem, 'key').filter(({ label }) => label.endsWith('PRIVATE KEY'));
  const [key] = keys;
  if (key === undefined) throw unusable('there is no private key in PEM in the file');
  if (keys.length > 1) throw unusable('there is more than one private key in the file');
  if (key.label === 'ENCRYPTED PRIVATE KEY' || /^Proc-Type:.*ENCRYPTED/im.test(key.text))
    throw unusable(
      'the key is protected by a passphrase, which nobody is there to type',
      undefined,
      'openssl pkey -in KEY -out NEW',
    );
  try {
    return createPrivateKey(key.text);
  } catch (error) {
    throw unusable(`the key cannot be read: ${reasonOf(error)}`, error);
  }
};

/** One line without control characters: subjects are written by strangers and end up in terminals. */
const printable = (text: string): string => text.replace(/[^\x20-\x7e\xa0-\uffff]+/g, ' ').slice(0, 200);

/** `CN` of a name, or its `O`, or all of it. */
const shortName = (name: string | undefined): string => {
  const lines = (name ?? '').split('\n');
  const part = (key: string): string | undefined =>
    lines.find((line) => line.startsWith(`${key}=`))?.slice(key.length + 1);
  return printable(part('CN') ?? part('O') ?? lines.join(', '));
};

const dnsName = /^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$/;

/** Node quotes what has a comma or a quote in it (CVE-2021-44532), so that no name can pretend to be two. */
const namesOf = (certificate: X509Certificate): string[] => {
  const entries = (certificate.subjectAltName ?? '').match(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g) ?? [];
  const names = entries.map((entry) => /^ ?DNS:(.*)$/.exec(entry)?.[1]?.toLowerCase() ?? '');
  return [...new Set(names.filter((name) => dnsName.test(name)))];
};

const timeOf = (text: string): number => {
  const time = Date.parse(text) / 1000;
  if (!Number.isFinite(time)) throw unusable('the certificate has a date that cannot be read');
  return time;
};

const keyTypes: Readonly<Record<string, 'ecdsa' | 'rsa'>> = { ec: 'ecdsa', rsa: 'rsa', 'rsa-pss': 'rsa' };

const publicKeyOf = (certificate: X509Certificate): KeyObject => {
  try {
    return certificate.publicKey;
  } catch (error) {
    throw unusable(`the certificate has a key that cannot be read: ${reasonOf(error)}`, error);
  }
};

/** Whether the second one issued and signed the first. */
const issuedBy = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  certificate.checkIssued(issuer) && certificate.verify(publicKeyOf(issuer));

const describe = (certificate: X509Certificate): CertificateDetails => {
  const type = publicKeyOf(certificate).asymmetricKeyType ?? '';
  const keyType = keyTypes[type];
  if (keyType === undefined)
    throw unusable(`the certificate has a key of type ${printable(type)}, which browsers do not take`);
  return {
    names: namesOf(certificate),
    serial: certificate.serialNumber.toLowerCase(),
    issuer: shortName(certificate.issuer),
    notBefore: timeOf(certificate.validFrom),
    notAfter: timeOf(certificate.validTo),
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    keyType,
    selfSigned: issuedBy(certificate, certificate),
  };
};

/** What we want to know of a certificate. Throws AF_CERTIFICATE. */
export const detailsOf = (certificate: X509Certificate): CertificateDetails =>
  remembered(described, certificate, () => describe(certificate));

const goodCurves: readonly string[] = ['prime256v1', 'secp384r1', 'secp521r1'];

const weakness = (key: KeyObject): string | null => {
  const type = key.asymmetricKeyType ?? '';
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  if (keyTypes[type] === 'rsa')
    return modulusLength < 2048 ? `the RSA key has ${modulusLength} bits, 2048 are the least that browsers take` : null;
  if (type !== 'ec') return `the key is of type ${type}, which browsers do not take`;
  return goodCurves.includes(namedCurve) ? null : `the key is on the curve ${namedCurve}, which browsers do not take`;
};

/** What is wrong with the key, by itself or for the first certificate; null for nothing. */
export const keyProblem = (chain: readonly X509Certificate[], key: KeyObject): string | null => {
  const weak = weakness(key);
  if (weak !== null) return weak;
  const fits = chain.findIndex((certificate) => certificate.checkPrivateKey(key));
  if (fits === 0) return null;
  return fits < 0
    ? 'the key does not belong to the certificate'
    : `the chain is out of order: the certificate of the key is number ${fits + 1}, it has to come first`;
};

const covers = (pattern: string, name: string): boolean =>
  pattern === name ||
  (pattern.startsWith('*.') && !name.startsWith('*.') && pattern.slice(1) === name.slice(name.indexOf('.')));

/** Which of the wanted names the first certificate lacks, in words; null for none. */
export const namesProblem = ([leaf]: readonly X509Certificate[], wanted: readonly string[]): string | null => {
  const names = leaf === undefined ? [] : namesOf(leaf);
  if (names.length === 0)
    return 'the certificate names no domain in its subjectAltName, which is all that browsers look at';
  const missing = wanted.filter((name) => !names.some((pattern) => covers(pattern, name)));
  return missing.length === 0
    ? null
    : `the certificate is not for ${missing.join(', ')} but for ${names.slice(0, 5).join(', ')}${names.length > 5 ? ', ...' : ''}`;
};

const dated = (seconds: number): string => new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');

const serverAuth = ['1.3.6.1.5.5.7.3.1', '2.5.29.37.0'];

/** What is wrong with dates, purpose and order of the chain; null for nothing. The root may be there or not. */
export const chainProblem = (chain: readonly X509Certificate[], now: number): string | null => {
  for (const [at, certificate] of chain.entries()) {
    const { issuer, notBefore, notAfter, selfSigned } = detailsOf(certificate);
    const which =
      at === 0 ? 'the certificate' : `certificate ${at + 1} of the chain (${shortName(certificate.subject)})`;
    // Nobody looks at the dates of a root.
    const isRoot = at > 0 && selfSigned;
    if (!isRoot && now >= notAfter) return `${which} expired at ${dated(notAfter)}`;
    if (!isRoot && now + clockTolerance < notBefore) return `${which} is not valid before ${dated(notBefore)}`;
    // The types of Node 20 promise a list, which is absent for a certificate that may be used for anything.
    const purposes = certificate.keyUsage as readonly string[] | undefined;
    if (at === 0 && purposes !== undefined && !purposes.some((purpose) => serverAuth.includes(purpose)))
      return 'the certificate is not made for servers';
    if (at > 0 && !certificate.ca) return `${which} is not that of an authority`;
    const next = chain[at + 1];
    if (next === undefined || issuedBy(certificate, next)) continue;
    if (next.raw.equals(certificate.raw)) return `the chain has certificate ${at + 1} twice`;
    const elsewhere = chain.findIndex((other, place) => place !== at && issuedBy(certificate, other));
    return elsewhere < 0
      ? `the chain is of another issuer: certificate ${at + 2} (${shortName(next.subject)}) did not issue certificate ${at + 1}, ${issuer} did`
      : `the chain is out of order: certificate ${elsewhere + 1} has to follow certificate ${at + 1}`;
  }
  return null;
};
