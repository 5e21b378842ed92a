/** Accounts that certbot has with a CA: going on with one keeps its limits and its pending authorizations. */
import { AppFleetError, messageOf } from '../errors.ts';
import type { Files } from '../ports.ts';

export type FoundAccount =
  | {
      source: string;
      keyPem: string;
      /** As the CA gave it; null when certbot did not keep it. */
      url: string | null;
      /** How many of certbot's certificates were ordered by it. */
      used: number;
    }
  | { source: string; keyPem: null; problem: string };

type Reading = Pick<Files, 'read' | 'list'>;

const parse = (text: string | null): unknown => {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
};

const urlIn = (registration: unknown): string | null => {
  const uri: unknown =
    typeof registration === 'object' && registration !== null && 'uri' in registration ? registration.uri : null;
  return typeof uri === 'string' && /^https?:\/\/[^\s"]+$/.test(uri) ? uri : null;
};

/** Ids of the accounts that renewal/*.conf name. */
const usedIds = async (files: Reading, folder: string): Promise<string[]> => {
  const ids: string[] = [];
  for (const entry of await files.list(`${folder}/renewal`)) {
    if (!entry.endsWith('.conf')) continue;
    const text = (await files.read(`${folder}/renewal/${entry}`)) ?? '';
    ids.push(/^\s*account\s*=\s*([0-9a-f]{1,64})\s*$/m.exec(text)?.[1] ?? '');
  }
  return ids;
};

/**
 * The accounts in certbot's folder (/etc/letsencrypt) with the CA of this directory, the most used one first. Certbot files them
 * by the directory's URL: accounts/HOST/PATH/ID/{private_key,regr}.json. `toPem` throws AF_CERTIFICATE. Throws AF_FILE.
 */
export const findCertbotAccounts = async (
  files: Reading,
  folder: string,
  directory: string,
  toPem: (jwk: string) => string,
): Promise<FoundAccount[]> => {
  const base = `${folder.replace(/\/+$/, '')}`;
  const accounts = `${base}/accounts/${directory.replace(/^https?:\/\//, '').replace(/\/+$/, '')}`;
  // From the settings, and part of a path.
  if (accounts.split('/').includes('..')) return [];
  const used = await usedIds(files, base);
  const found: FoundAccount[] = [];
  for (const id of (await files.list(accounts)).sort()) {
    if (!/^[0-9a-f]{1,64}$/.test(id)) continue;
    const source = `${accounts}/${id}/private_key.json`;
    try {
      const jwk = await files.read(source);
      if (jwk === null) continue;
      const url = urlIn(parse(await files.read(`${accounts}/${id}/regr.json`)));
      found.push({ source, keyPem: toPem(jwk), url, used: used.filter((one) => one === id).length });
    } catch (error) {
      if (!(error instanceof AppFleetError)) throw error;
      found.push({ source, keyPem: null, problem: messageOf(error) });
    }
  }
  const rank = (one: FoundAccount): number => (one.keyPem === null ? -1 : one.used);
  return found.sort((a, b) => rank(b) - rank(a));
};
