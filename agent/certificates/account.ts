/** The account with a certificate authority, as it is kept on disk. One per directory; its key answers for every site. */
import { parseFields } from '../core/certificate.ts';
import { accountFile, accountFolder, accountKey, paths } from '../core/names.ts';
import type { Files } from '../ports.ts';
import type { X509 } from './ports.ts';

export interface Account {
  keyPem: string;
  /** Null: the CA has not been told yet. */
  url: string | null;
  /** The key was made just now: nginx does not answer challenges for it yet. */
  isNew: boolean;
  /** There had been an account, and its key is lost. */
  lost: boolean;
}

const secretFolder = 0o700;
const secretFile = 0o600;

const writeUrl = async (files: Files, directory: string, url: string | null): Promise<void> => {
  await files.write({
    path: accountFile(directory),
    text: `${JSON.stringify({ directory, url })}\n`,
    mode: secretFile,
  });
};

/** The account with this directory; a key is made where there is none. Throws AF_FILE, AF_CERTIFICATE for a key that is none. */
export const openAccount = async (files: Files, x509: X509, directory: string): Promise<Account> => {
  const fields = parseFields(await files.read(accountFile(directory)));
  const url = typeof fields['url'] === 'string' ? fields['url'] : null;
  const keyPem = await files.read(accountKey(directory));
  if (keyPem !== null) return { keyPem, url, isNew: false, lost: false };
  const made = await x509.newKey('ecdsa');
  await files.makeFolder(paths.accounts, secretFolder);
  await files.makeFolder(accountFolder(directory), secretFolder);
  // The URL of a lost key's account is of no use to the new one.
  await writeUrl(files, directory, null);
  await files.write({ path: accountKey(directory), text: made, mode: secretFile });
  return { keyPem: made, url: null, isNew: true, lost: url !== null };
};

/** Keeps the URL that the CA gave the account; null when there is none any more. */
export const keepAccountUrl = (files: Files, directory: string, url: string | null): Promise<void> =>
  writeUrl(files, directory, url);

/** Puts another key in the place of the account's own; the CA must have taken it, or be about to. */
export const keepAccountKey = async (files: Files, directory: string, keyPem: string): Promise<void> => {
  await files.write({ path: accountKey(directory), text: keyPem, mode: secretFile });
};
