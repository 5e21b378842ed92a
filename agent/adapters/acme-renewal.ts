/** Renewal information (RFC 9773): what a certificate is called there, and when the CA wants it renewed. */
import { X509Certificate } from 'node:crypto';
import type { RenewalInfo } from '../certificates/ports.ts';
import { fieldsOf, textOf, timeOf } from './acme-answer.ts';

/** Object identifier 2.5.29.35, authorityKeyIdentifier, as DER. */
const authorityKeyOid = Buffer.from('0603551d23', 'hex');
/** RFC 9773 4.3.2: without Retry-After, and its bounds. */
const askAgainSeconds = { usual: 6 * 3600, least: 60, most: 86_400 };

/** Content of the DER element of that tag at `at` (ITU-T X.690 8.1); null when there is another one, or it does not fit. */
const element = (der: Buffer, at: number, tag: number): Buffer | null => {
  const first = der[at + 1];
  if (der[at] !== tag || first === undefined) return null;
  const more = first < 0x80 ? 0 : first - 0x80;
  if (more > 2 || at + 2 + more > der.length) return null;
  const length = more === 0 ? first : der.readUIntBE(at + 2, more);
  const begin = at + 2 + more;
  return begin + length <= der.length ? der.subarray(begin, begin + length) : null;
};

/** The keyIdentifier of the certificate's issuer (RFC 5280 4.2.1.1); Node has no word for it. */
const authorityKey = (der: Buffer): Buffer | null => {
  const at = der.indexOf(authorityKeyOid);
  if (at < 0) return null;
  const value = element(der, at + authorityKeyOid.length, 0x04);
  const identifier = value && element(value, 0, 0x30);
  return identifier && element(identifier, 0, 0x80);
};

/** RFC 9773 4.1: base64url(AKI).base64url(serial); null for a certificate whose issuer left no key identifier. */
export const renewalName = (leafPem: string): string | null => {
  const certificate = new X509Certificate(leafPem);
  const key = authorityKey(certificate.raw);
  if (!key) return null;
  // DER integers are signed: a serial that begins with a set bit has a zero in front, which Node does not show.
  const hex = certificate.serialNumber.padStart(
    certificate.serialNumber.length + (certificate.serialNumber.length % 2),
    '0',
  );
  const serial = Buffer.from(parseInt(hex.slice(0, 2), 16) >= 0x80 ? `00${hex}` : hex, 'hex');
  return `${key.toString('base64url')}.${serial.toString('base64url')}`;
};

/** RFC 9773 4.2; null for a window that ends before it begins, which counts as no answer. */
export const renewalOf = (value: unknown, retryAfterSeconds: number | null): RenewalInfo | null => {
  const fields = fieldsOf(value);
  const window = fieldsOf(fields['suggestedWindow']);
  const start = timeOf(window['start']);
  const end = timeOf(window['end']);
  if (start === null || end === null || end <= start) return null;
  const { usual, least, most } = askAgainSeconds;
  return {
    start,
    end,
    explanation: textOf(fields['explanationURL']) || null,
    retryAfterSeconds: Math.min(most, Math.max(least, retryAfterSeconds ?? usual)),
  };
};
