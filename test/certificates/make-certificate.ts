/** Certificates as a CA would make them, and as none should, without openssl. */
import { webcrypto } from 'node:crypto';
import * as library from '@peculiar/x509';

export type KeyKind = 'ecdsa' | 'rsa' | 'rsa-1024' | 'ed25519' | 'p-384';

const { subtle } = webcrypto;
const rsa = (modulusLength: number) => ({
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength,
  publicExponent: new Uint8Array([1, 0, 1]),
});
const algorithms = {
  ecdsa: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  'p-384': { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  rsa: rsa(2048),
  'rsa-1024': rsa(1024),
  ed25519: { name: 'Ed25519' },
};

const pem = (label: string, der: ArrayBuffer): string =>
  `-----BEGIN ${label}-----\n${(
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  ).join('\n')}\n-----END ${label}-----\n`;

export interface Party {
  name: string;
  keys: webcrypto.CryptoKeyPair;
  kind: KeyKind;
  keyPem: string;
  certificatePem: string;
}

export interface Wish {
  names?: readonly string[];
  kind?: KeyKind;
  /** Seconds since the epoch. */
  notBefore?: number;
  notAfter?: number;
  ca?: boolean;
  /** OIDs of extended key usage; none for any use. */
  purposes?: readonly string[];
  /** Common name. */
  name?: string;
  /** Keys of another instead of new ones. */
  keysOf?: Party;
  /** More extensions. */
  extensions?: library.Extension[];
}

export const epoch = 1_800_000_000;
const day = 86_400;

/** A certificate issued by somebody, or by itself. */
export const makeCertificate = async (wish: Wish, issuer: Party | null): Promise<Party> => {
  const kind = wish.keysOf?.kind ?? wish.kind ?? 'ecdsa';
  const keys =
    wish.keysOf?.keys ??
    ((await subtle.generateKey(algorithms[kind], true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair);
  const name = wish.name ?? wish.names?.[0] ?? 'nobody';
  const extensions: library.Extension[] = [
    new library.BasicConstraintsExtension(wish.ca === true, undefined, true),
    ...(wish.names === undefined || wish.names.length === 0
      ? []
      : [new library.SubjectAlternativeNameExtension(wish.names.map((value) => ({ type: 'dns' as const, value })))]),
    ...(wish.purposes === undefined ? [] : [new library.ExtendedKeyUsageExtension([...wish.purposes])]),
    ...(wish.extensions ?? []),
  ];
  const signer = issuer ?? { name, keys, kind };
  const certificate = await library.X509CertificateGenerator.create({
    subject: [{ CN: [name] }],
    issuer: [{ CN: [signer.name] }],
    notBefore: new Date((wish.notBefore ?? epoch - day) * 1000),
    notAfter: new Date((wish.notAfter ?? epoch + 89 * day) * 1000),
    publicKey: keys.publicKey,
    signingKey: signer.keys.privateKey,
    signingAlgorithm: algorithms[signer.kind],
    extensions,
  });
  const certificatePem = `${certificate.toString('pem').trimEnd()}\n`;
  return {
    name,
    keys,
    kind,
    keyPem: pem('PRIVATE KEY', await subtle.exportKey('pkcs8', keys.privateKey)),
    certificatePem,
  };
};

export interface Authority {
  root: Party;
  intermediate: Party;
  /** Leaf and intermediate, with the leaf's key. */
  issue(wish: Wish): Promise<{ chainPem: string; keyPem: string; leaf: Party }>;
}

/** A root and an intermediate that live for twenty years around `epoch`. */
export const makeAuthority = async (name = 'Test'): Promise<Authority> => {
  const dates = { notBefore: epoch - 3650 * day, notAfter: epoch + 3650 * day, ca: true };
  const root = await makeCertificate({ ...dates, name: `${name} Root` }, null);
  const intermediate = await makeCertificate({ ...dates, name: `${name} Intermediate` }, root);
  return {
    root,
    intermediate,
    issue: async (wish) => {
      const leaf = await makeCertificate(wish, intermediate);
      return { chainPem: leaf.certificatePem + intermediate.certificatePem, keyPem: leaf.keyPem, leaf };
    },
  };
};
