/** Which of certbot's accounts this host goes on with. Changes nothing. */
import type { Files } from '../ports.ts';
import { readAccount } from './account.ts';
import { findCertbotAccounts } from './certbot-accounts.ts';
import type { X509 } from './ports.ts';

export interface AccountImport {
  /** To be kept as this host's own; null when there is none to take, or this host has one. */
  take: { source: string; keyPem: string; url: string | null } | null;
  /** `reason`: a sentence about it, without itself. */
  unused: readonly { source: string; reason: string }[];
}

/** Certbot's folder above its live/, whichever of the two was named. */
const baseOf = (folder: string): string => folder.replace(/\/+$/, '').replace(/\/live$/, '');

/** The account with the CA of this directory that certbot used most, if this host has none. Throws AF_FILE. */
export const chooseAccount = async (
  files: Pick<Files, 'read' | 'list'>,
  x509: Pick<X509, 'keyOfJwk'>,
  folders: readonly string[],
  directory: string,
): Promise<AccountImport> => {
  let full = (await readAccount(files, directory)) === null ? null : 'this host has an account with that CA';
  let take: AccountImport['take'] = null;
  const unused: { source: string; reason: string }[] = [];
  for (const base of new Set(folders.map(baseOf)))
    for (const found of await findCertbotAccounts(files, base, directory, (jwk) => x509.keyOfJwk(jwk))) {
      const { source } = found;
      if (found.keyPem === null) unused.push({ source, reason: found.problem });
      else if (full !== null) unused.push({ source, reason: full });
      else {
        take = { source, keyPem: found.keyPem, url: found.url };
        full = 'another account is used for more certificates';
      }
    }
  return { take, unused };
};
