import { randomBytes } from 'node:crypto';

/** A password that needs no quoting anywhere: 192 random bits. */
export const newPassword = (): string => randomBytes(24).toString('base64url');
