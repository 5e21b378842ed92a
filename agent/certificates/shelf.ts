/** The certificates on disk for who only looks and rarely installs: the passes of the agent. No key stays in memory. */
import { generationName } from '../core/generation.ts';
import { generationFolder, pairPaths, placeholderFolder } from '../core/names.ts';
import { AppFleetError, messageOf } from '../errors.ts';
import type { Certificates, Files, PairFiles } from '../ports.ts';
import type { Pair, X509 } from './ports.ts';
import { remembered } from './remembered.ts';
import { readRoots } from './roots.ts';
import { createStore } from './store.ts';

type Wrong = Awaited<ReturnType<Certificates['wrong']>>;

/** What is to be known of two files of the admin's. */
interface Look {
  pair: Pair | null;
  wrong: Wrong;
}

/** How long a verdict about names holds; seconds since the epoch. */
interface Verdict {
  names: string;
  wrong: Wrong;
  until: number;
}

const isSame = (one: Pair | null, other: Pair): boolean =>
  one !== null && one.chainPem === other.chainPem && one.keyPem === other.keyPem;

/** `now`: seconds since the epoch. */
export const createCertificates = (files: Files, x509: X509, now: () => number): Certificates => {
  const store = createStore(files, x509, 'chain');

  const readPair = async ({ certificate, key }: PairFiles): Promise<Look> => {
    const texts: string[] = [];
    for (const [file, path] of Object.entries({ certificate, key }) as [keyof PairFiles, string][]) {
      const text = await files.read(path).catch((error: unknown) => ({ why: messageOf(error) }));
      if (text === null) return { pair: null, wrong: { file, why: 'there is no such file' } };
      if (typeof text !== 'string') return { pair: null, wrong: { file, ...text } };
      texts.push(text);
    }
    const [chainPem = '', keyPem = ''] = texts;
    return { pair: { chainPem, keyPem }, wrong: null };
  };

  const judge = (pair: Pair, names: readonly string[]): Verdict => {
    const why = x509.wrong(pair, names, now());
    const wrong: Wrong = why === null ? null : { file: 'certificate', why };
    // What is wrong may be the date, and what is right may expire.
    const until = why === null ? Math.min(...x509.read(pair.chainPem).map(({ notAfter }) => notAfter)) : 0;
    return { names: names.join(' '), wrong, until };
  };

  /** By path: what was found, as long as the files are the same. The verdict within is renewed when names or dates ask for it. */
  const verdicts = remembered(files, () => Promise.resolve<{ last: Verdict | null }>({ last: null }));

  /** Whether the pair in two files is the one in another two. */
  const same = remembered(files, async (certificate = '', key = '', chain = '', installed = '') => {
    const [wanted, used] = [
      await readPair({ certificate, key }),
      await readPair({ certificate: chain, key: installed }),
    ];
    return wanted.pair !== null && isSame(used.pair, wanted.pair);
  });

  const placeholderIsWhole = remembered(files, async (certificate = '', key = '') => {
    const { pair } = await readPair({ certificate, key });
    if (pair === null) return false;
    try {
      const [leaf] = x509.read(pair.chainPem);
      // Nobody looks at its dates.
      return leaf !== undefined && x509.wrong(pair, [], leaf.notBefore) === null;
    } catch (error) {
      if (error instanceof AppFleetError) return false;
      throw error;
    }
  });

  const wrongRoots = remembered(files, async (path = '') => (await readRoots(files, x509, path)).wrong);

  const thumbprint = remembered(files, async (path = '') => {
    const keyPem = await files.read(path);
    return keyPem === null ? null : x509.thumbprint(keyPem);
  });

  const pairIn = async (paths: PairFiles): Promise<Pair> => {
    const { pair, wrong } = await readPair(paths);
    if (pair !== null) return pair;
    const path = wrong === null ? paths.certificate : paths[wrong.file];
    throw new AppFleetError('AF_CERTIFICATE', `${path} cannot be used: ${wrong?.why ?? 'it is gone'}`);
  };

  return {
    current: (site) => store.current(site),
    state: (site) => store.readState(site),
    wrong: async (paths, names) => {
      const memory = await verdicts(paths.certificate, paths.key);
      if (memory.last !== null && memory.last.names === names.join(' ') && now() < memory.last.until)
        return memory.last.wrong;
      const { pair, wrong } = await readPair(paths);
      if (pair === null) return wrong;
      memory.last = judge(pair, names);
      return memory.last.wrong;
    },
    folderFor: async (site, { certificate, key }) => {
      const current = await store.current(site);
      if (current !== null && (await same(certificate, key, current.chainPath, current.keyPath))) return null;
      const [leaf] = x509.read((await pairIn({ certificate, key })).chainPem);
      return generationFolder(site, generationName(now(), leaf?.fingerprint ?? ''));
    },
    install: async (site, paths, names) => void (await store.install(site, await pairIn(paths), names, now())),
    hasPlaceholder: () => {
      const { chain, key } = pairPaths(placeholderFolder);
      return placeholderIsWhole(chain, key);
    },
    makePlaceholder: async () => void (await store.placeholder(now())),
    wrongRoots: (path) => wrongRoots(path),
    thumbprint: (path) => thumbprint(path),
  };
};
