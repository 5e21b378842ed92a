/** Finds certificates and keys in the folders of other programs: certbot's, acme-companion's, nginx-proxy's. Reads only. */
import { AppFleetError, messageOf } from '../errors.ts';
import type { Files } from '../ports.ts';
import type { Pair } from './ports.ts';

type Reading = Pick<Files, 'read' | 'list'>;

/** What lies there as a pair, or what is there of one. */
export type FoundPair =
  { /** Path of the certificate. */ source: string; pair: Pair } | { source: string; pair: null; problem: string };

const without = (source: string, problem: string): FoundPair => ({ source, pair: null, problem });

/** What is in a folder; null for what is no folder. */
const entriesOf = async (files: Reading, path: string): Promise<string[] | null> => {
  try {
    return (await files.list(path)).sort();
  } catch (error) {
    const { cause } = error as AppFleetError;
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOTDIR') return null;
    throw error;
  }
};

/** Both files of a pair; null when neither is there. Links are followed, as these programs make many. */
const readPair = async (files: Reading, chain: string, key: string): Promise<FoundPair | null> => {
  try {
    const [chainPem, keyPem] = [await files.read(chain), await files.read(key)];
    if (chainPem !== null && keyPem !== null) return { source: chain, pair: { chainPem, keyPem } };
    if (chainPem === null && keyPem === null) return null;
    return chainPem === null ? without(key, `there is no ${chain}`) : without(chain, `there is no ${key}`);
  } catch (error) {
    if (error instanceof AppFleetError) return without(chain, messageOf(error));
    throw error;
  }
};

/** The newest whole pair in certbot's archive: for a copy of the folder whose links were lost on the way. */
const readArchive = async (files: Reading, folder: string): Promise<FoundPair | null> => {
  const entries = (await entriesOf(files, folder)) ?? [];
  const numbers = entries.map((entry) => Number(/^fullchain(\d{1,9})\.pem$/.exec(entry)?.[1] ?? 0));
  for (const number of numbers.filter((one) => one > 0).sort((a, b) => b - a)) {
    const found = await readPair(files, `${folder}/fullchain${number}.pem`, `${folder}/privkey${number}.pem`);
    if (found !== null && found.pair !== null) return found;
  }
  return null;
};

/** Certbot: live/NAME/{fullchain,privkey}.pem are links into archive/NAME; renewal/NAME.conf says that there is such a name. */
const readCertbot = async (files: Reading, base: string): Promise<FoundPair[]> => {
  const live = `${base}/live`;
  const renewal = (await entriesOf(files, `${base}/renewal`)) ?? [];
  const configured = renewal.filter((entry) => entry.endsWith('.conf')).map((entry) => entry.slice(0, -'.conf'.length));
  const names = new Set([...((await entriesOf(files, live)) ?? []), ...configured]);
  const found: FoundPair[] = [];
  for (const name of [...names].sort()) {
    const folder = `${live}/${name}`;
    // A README lies there too.
    if ((await entriesOf(files, folder)) === null) continue;
    const linked = await readPair(files, `${folder}/fullchain.pem`, `${folder}/privkey.pem`);
    const whole = linked !== null && linked.pair !== null;
    const pair = whole ? linked : ((await readArchive(files, `${base}/archive/${name}`)) ?? linked);
    found.push(pair ?? without(`${folder}/fullchain.pem`, 'neither live/ nor archive/ has its files'));
  }
  return found;
};

const chainNames = ['fullchain.pem'];
const keyNames = ['key.pem', 'privkey.pem'];

/** acme-companion: NAME.crt and NAME.key, mostly links to NAME/fullchain.pem and NAME/key.pem; nginx-proxy: the two files. */
const readProxy = async (files: Reading, folder: string): Promise<FoundPair[]> => {
  const found: FoundPair[] = [];
  const entries = (await entriesOf(files, folder)) ?? [];
  for (const entry of entries) {
    const path = `${folder}/${entry}`;
    if (entry.endsWith('.crt')) {
      const pair = await readPair(files, path, `${path.slice(0, -'.crt'.length)}.key`);
      if (pair !== null) found.push(pair);
      continue;
    }
    const inside = entry.endsWith('.key') || entry.endsWith('.pem') ? null : await entriesOf(files, path);
    const chain = chainNames.find((name) => inside?.includes(name));
    if (chain === undefined) continue;
    const key = keyNames.find((name) => inside?.includes(name)) ?? 'key.pem';
    const pair = await readPair(files, `${path}/${chain}`, `${path}/${key}`);
    if (pair !== null) found.push(pair);
  }
  return found;
};

/** All pairs in the folder, each once, whichever of the layouts it has. Throws AF_FILE when it cannot be listed. */
export const findPairs = async (files: Reading, folder: string): Promise<FoundPair[]> => {
  const base = folder.replace(/\/+$/, '');
  const entries = (await entriesOf(files, base)) ?? [];
  const certbot = entries.includes('live') ? base : base.endsWith('/live') ? base.slice(0, -'/live'.length) : null;
  const found = certbot === null ? await readProxy(files, base) : await readCertbot(files, certbot);
  const seen = new Set<string>();
  return found.filter(({ pair }) => {
    if (pair === null) return true;
    const text = pair.chainPem + pair.keyPem;
    return !seen.has(text) && seen.add(text);
  });
};
