/** The file with the authority that signed the CA's own certificate (`acme_ca_file`). */
import { messageOf } from '../errors.ts';
import type { Files } from '../ports.ts';
import type { X509 } from './ports.ts';

/** Its text, or what keeps it from being used. */
export type Roots = { pem: string; wrong: null } | { pem: null; wrong: string };

export const readRoots = async (
  files: Pick<Files, 'read'>,
  x509: Pick<X509, 'wrongRoots'>,
  path: string,
): Promise<Roots> => {
  const refuse = (why: string): Roots => ({ pem: null, wrong: `${path} cannot be used: ${why}` });
  try {
    const pem = await files.read(path);
    const why = pem === null ? 'there is no such file' : x509.wrongRoots(pem);
    return pem === null || why !== null ? refuse(why ?? '') : { pem, wrong: null };
  } catch (error) {
    return refuse(messageOf(error));
  }
};
