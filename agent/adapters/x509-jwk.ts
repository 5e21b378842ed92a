/** Account keys as certbot keeps them: a JSON Web Key (RFC 7517). */
import { createPrivateKey, type JsonWebKey } from 'node:crypto';
import { AppFleetError } from '../errors.ts';

const largest = 64 * 1024;

const parse = (text: string): JsonWebKey => {
  const value: unknown = JSON.parse(text);
  return (typeof value === 'object' && value !== null ? value : {}) as JsonWebKey;
};

/** The private key in PEM (PKCS #8). Throws AF_CERTIFICATE, with nothing of the key in the message. */
export const pemOfJwk = (text: string): string => {
  try {
    if (text.length > largest) throw new Error();
    const key = createPrivateKey({ key: parse(text), format: 'jwk' });
    const { modulusLength = 2048, namedCurve = 'prime256v1' } = key.asymmetricKeyDetails ?? {};
    const good =
      key.asymmetricKeyType === 'rsa'
        ? modulusLength >= 2048
        : key.asymmetricKeyType === 'ec' && ['prime256v1', 'secp384r1', 'secp521r1'].includes(namedCurve);
    if (!good) throw new Error();
    return key.export({ type: 'pkcs8', format: 'pem' }).toString();
  } catch {
    throw new AppFleetError('AF_CERTIFICATE', 'it is not a private key (RSA of 2048 bits at least, or EC) in JWK');
  }
};
