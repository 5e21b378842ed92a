/** Certificates and keys: read and checked by node:crypto. Requests are made by @peculiar/x509, which is loaded only then. */
import { createHash, createPublicKey, generateKeyPair, webcrypto, X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import type { X509 } from '../certificates/ports.ts';
import { AppFleetError, messageOf } from '../errors.ts';
import { pemOfJwk } from './x509-jwk.ts';
import { chainProblem, detailsOf, keyProblem, namesProblem, readChain, readKey } from './x509-pair.ts';
import { selfSigned } from './x509-placeholder.ts';

const generate = promisify(generateKeyPair);

const newKey = async (type: 'ecdsa' | 'rsa'): Promise<string> => {
  const { privateKey } =
    type === 'ecdsa'
      ? await generate('ec', { namedCurve: 'prime256v1' })
      : await generate('rsa', { modulusLength: 2048 });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
};

const curves: Readonly<Record<string, { name: string; hash: string }>> = {
  prime256v1: { name: 'P-256', hash: 'SHA-256' },
  secp384r1: { name: 'P-384', hash: 'SHA-384' },
  secp521r1: { name: 'P-521', hash: 'SHA-512' },
};

/** The pair of a private key as Web Crypto wants it, and what to sign with. */
const webKeys = async (
  keyPem: string,
): Promise<{ keys: webcrypto.CryptoKeyPair; signing: { name: string; hash: string } }> => {
  const { subtle } = webcrypto;
  const key = readKey(keyPem);
  const curve = curves[key.asymmetricKeyDetails?.namedCurve ?? ''];
  const hash = curve?.hash ?? 'SHA-256';
  const algorithm =
    curve === undefined ? { name: 'RSASSA-PKCS1-v1_5', hash } : { name: 'ECDSA', namedCurve: curve.name };
  const secret = key.export({ type: 'pkcs8', format: 'der' });
  const open = createPublicKey(key).export({ type: 'spki', format: 'der' });
  return {
    keys: {
      privateKey: await subtle.importKey('pkcs8', secret, algorithm, true, ['sign']),
      publicKey: await subtle.importKey('spki', open, algorithm, true, ['verify']),
    },
    signing: { name: algorithm.name, hash },
  };
};

const load = (): Promise<typeof import('@peculiar/x509')> => import('@peculiar/x509');
type Library = Awaited<ReturnType<typeof load>>;

/** Names go into the subjectAltName alone: a common name holds 64 characters at most and nobody reads it any more. */
const namesExtension = ({ SubjectAlternativeNameExtension }: Library, names: readonly string[], critical: boolean) =>
  new SubjectAlternativeNameExtension(
    names.map((value) => ({ type: 'dns' as const, value })),
    critical,
  );

const csr = async (names: readonly string[], keyPem: string): Promise<string> => {
  const library = await load();
  const { keys, signing } = await webKeys(keyPem);
  const extensions = [namesExtension(library, names, false)];
  const request = await library.Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: signing,
    extensions,
  });
  return `${request.toString('pem').trimEnd()}\n`;
};

const placeholder = async (names: readonly string[], now: number): Promise<{ chainPem: string; keyPem: string }> => {
  const keyPem = await newKey('ecdsa');
  return { chainPem: selfSigned(readKey(keyPem), names, now), keyPem };
};

/** RFC 7638 3: the members that the key's type requires, in this order, without blanks. */
const thumbprint = (keyPem: string): string => {
  const { kty, crv, x, y, e, n } = createPublicKey(readKey(keyPem)).export({ format: 'jwk' });
  const members = kty === 'EC' ? { crv, kty, x, y } : { e, kty, n };
  return createHash('sha256').update(JSON.stringify(members)).digest('base64url');
};

const failing = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AppFleetError) throw error;
    throw new AppFleetError('AF_CERTIFICATE', `cannot make ${what}: ${messageOf(error)}`, { cause: error });
  }
};

const wrongRoots = (pem: string): string | null => {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  const unreadable = blocks.findIndex((block) => {
    try {
      return !new X509Certificate(block);
    } catch {
      return true;
    }
  });
  if (blocks.length === 0) return 'there is no certificate in PEM in it';
  return unreadable < 0 ? null : `certificate ${unreadable + 1} in it cannot be read`;
};

/** Certificates as this machine's OpenSSL sees them. */
export const createX509 = (): X509 => ({
  read: (pem) => readChain(pem).map(detailsOf),
  wrong: ({ chainPem, keyPem }, names, now) => {
    try {
      const chain = readChain(chainPem);
      return keyProblem(chain, readKey(keyPem)) ?? namesProblem(chain, names) ?? chainProblem(chain, now);
    } catch (error) {
      if (error instanceof AppFleetError) return error.message;
      throw error;
    }
  },
  wrongRoots,
  newKey,
  keyOfJwk: pemOfJwk,
  csr: (names, keyPem) => failing('a certificate signing request', () => csr(names, keyPem)),
  placeholder: (names, now) => failing('a self-signed certificate', () => placeholder(names, now)),
  thumbprint,
});
