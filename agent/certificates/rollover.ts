/**
 * Another key for the account (RFC 8555 7.3.5).
 *
 * INVARIANTS
 * - The next key is on disk before the CA hears of it, and stays until it is the account's own key on disk, or until the CA is known
 *   not to have taken it: a key that only the CA knows would be an account lost.
 * - Whoever uses the account settles first what an earlier rollover left, by asking the CA whose key it knows.
 */
import { accountKey, nextAccountKey } from '../core/names.ts';
import type { Files } from '../ports.ts';
import { type Account, keepAccountUrl } from './account.ts';
import type { CertificateAuthority } from './ports.ts';

const secretFile = 0o600;

const takeNext = async (files: Files, directory: string, keyPem: string): Promise<void> => {
  await files.write({ path: accountKey(directory), text: keyPem, mode: secretFile });
  await files.remove(nextAccountKey(directory));
};

/** Has the CA take this key, then this host. Throws CaError and AF_FILE; `settleRollover` clears up behind it. */
export const rollOver = async (
  files: Files,
  directory: string,
  ca: Pick<CertificateAuthority, 'changeKey'>,
  keyPem: string,
): Promise<void> => {
  await files.write({ path: nextAccountKey(directory), text: keyPem, mode: secretFile });
  await ca.changeKey(keyPem);
  await takeNext(files, directory, keyPem);
};

/**
 * The account to go on with. Nothing is asked unless a rollover was cut; then the CA's word decides between the two keys. `authority`
 * speaks for a key. Throws CaError and AF_FILE.
 */
export const settleRollover = async (
  files: Files,
  directory: string,
  account: Account,
  authority: (account: Account) => Promise<Pick<CertificateAuthority, 'registered'>>,
): Promise<Account> => {
  const next = await files.read(nextAccountKey(directory));
  if (next === null) return account;
  const urlOf = async (keyPem: string): Promise<string | null> =>
    (await authority({ ...account, keyPem, url: null })).registered();
  const url = next === account.keyPem || (await urlOf(account.keyPem)) !== null ? null : await urlOf(next);
  if (url === null) {
    await files.remove(nextAccountKey(directory));
    return account;
  }
  await keepAccountUrl(files, directory, url);
  await takeNext(files, directory, next);
  return { keyPem: next, url, isNew: true, lost: false };
};
