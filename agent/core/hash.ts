import { createHash } from 'node:crypto';

/** Hexadecimal sha256 of a text; the one fingerprint used for specs, file sets and short names. */
export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
