/**
 * The self-signed certificate of a host, written by hand: the agent makes it, once, and the library that could do it would stay in
 * its memory. RFC 5280 in DER (X.690), with P-256 and nothing to choose.
 */
import { createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto';

const day = 86_400;

/** Tag, length, content. */
const der = (tag: number, ...content: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(content);
  const { length } = body;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), body]);
  return Buffer.concat([
    Buffer.from(length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff]),
    body,
  ]);
};
const sequence = (...content: readonly Buffer[]): Buffer => der(0x30, ...content);
/** An object identifier, its content in hexadecimal. */
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));

const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'));
const commonName = oid('550403');
const name = (text: string): Buffer => sequence(der(0x31, sequence(commonName, der(0x0c, Buffer.from(text)))));

/** Years up to 2049 have two digits (RFC 5280 4.1.2.5). */
const time = (seconds: number): Buffer => {
  const text = new Date(Math.floor(seconds) * 1000).toISOString().replace(/[-:T]|\.\d+/g, '');
  return seconds < Date.UTC(2050) / 1000 ? der(0x17, Buffer.from(text.slice(2))) : der(0x18, Buffer.from(text));
};

const yes = der(0x01, Buffer.from([0xff]));
const extension = (id: string, critical: boolean, value: Buffer): Buffer =>
  sequence(oid(id), ...(critical ? [yes] : []), der(0x04, value));

/** For servers, no authority, for these names. */
const extensions = (names: readonly string[]): Buffer =>
  der(
    0xa3,
    sequence(
      extension('551d13', true, sequence()),
      extension('551d25', false, sequence(oid('2b06010505070301'))),
      ...(names.length === 0
        ? []
        : [extension('551d11', false, sequence(...names.map((each) => der(0x82, Buffer.from(each)))))]),
    ),
  );

/** A serial number is positive and has no needless zeros in front. */
const serial = (): Buffer => {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return der(0x02, bytes);
};

/** Ten years, and a day into the past: what nobody trusts need not be renewed, and clocks differ. `now`: seconds since the epoch. */
export const selfSigned = (key: KeyObject, names: readonly string[], now: number): string => {
  const subject = name('App Fleet placeholder');
  const certificate = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    serial(),
    ecdsaWithSha256,
    subject,
    sequence(time(now - day), time(now + 3650 * day)),
    subject,
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    extensions(names),
  );
  const signature = der(0x03, Buffer.from([0]), sign('sha256', certificate, key));
  const lines = sequence(certificate, ecdsaWithSha256, signature)
    .toString('base64')
    .replace(/.{64}(?!$)/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
};
