/** The account with a certificate authority, as it is kept on disk. One per directory; its key answers for every site. */
import { parseFields } from '../core/certificate.ts';
import { accountFile, accountFolder, accountKey, paths } from '../core/names.ts';
import type { Files } from '../ports.ts';
import type { X509 } from './ports.ts';

export interface Account {
  keyPem: string;
  /** Null: the CA has not been told yet. */
  url: string | null;
  /** The key came just now: nginx does not answer challenges for it yet. */
  isNew: boolean;
  /** There had been an account, and its key is lost. */
  lost: boolean;
}

const secretFolder = 0o700;
const secretFile = 0o600;

/** The account with this directory; null where there is no key. Throws AF_FILE. */
export const readAccount = async (
  files: Pick<Files, 'read'>,
  directory: string,
): Promise<Pick<Account, 'keyPem' | 'url'> | null> => {
  const keyPem = await files.read(accountKey(directory));
  return keyPem === null ? null : { keyPem, url: await readUrl(files, directory) };
};

const readUrl = async (files: Pick<Files, 'read'>, directory: string): Promise<string | null> => {
  const { url } = parseFields(await files.read(accountFile(directory)));
  return typeof url === 'string' ? url : null;
};

/** The account with this directory; a key is made where there is none. Throws AF_FILE. */
export const openAccount = async (files: Files, x509: Pick<X509, 'newKey'>, directory: string): Promise<Account> => {
  const found = await readAccount(files, directory);
  if (found !== null) return { ...found, isNew: false, lost: false };
  const lost = (await readUrl(files, directory)) !== null;
  const keyPem = await x509.newKey('ecdsa');
  await keepAccount(files, directory, { keyPem, url: null });
  return { keyPem, url: null, isNew: true, lost };
};

/** Puts an account where there is none. The URL goes first: that of a lost key's account is of no use to another key. */
export const keepAccount = async (
  files: Files,
  directory: string,
  { keyPem, url }: Pick<Account, 'keyPem' | 'url'>,
): Promise<void> => {
  await files.makeFolder(paths.accounts, secretFolder);
  await files.makeFolder(accountFolder(directory), secretFolder);
  await keepAccountUrl(files, directory, url);
  await files.write({ path: accountKey(directory), text: keyPem, mode: secretFile });
};

/** Keeps the URL that the CA gave the account; null when there is none any more. */
export const keepAccountUrl = async (files: Files, directory: string, url: string | null): Promise<void> => {
  await files.write({
    path: accountFile(directory),
    text: `${JSON.stringify({ directory, url })}\n`,
    mode: secretFile,
  });
};
