import { createHash } from 'node:crypto';

/** Hexadecimal sha256 of a text; the one fingerprint used for specs, file sets and short names. */
export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** base64url sha256 of a text: the TXT record of an ACME challenge (RFC 8555 8.4). */
export const sha256Url = (text: string): string => createHash('sha256').update(text).digest('base64url');
