/** The certificates on disk: read, installed, swept. */
import { type CertificateState, parseState, printState } from '../core/certificate.ts';
import { generationName, generationTime } from '../core/generation.ts';
import { certificateFolder, generationFolder, pairPaths, paths, placeholderFolder } from '../core/names.ts';
import { certificateState, currentGeneration, previousGeneration } from '../core/names.ts';
import { AppFleetError, messageOf } from '../errors.ts';
import type { CertificateInUse, Files } from '../ports.ts';
import { certificateSites, generationsOf, isSite, linkedGeneration } from './generations.ts';
import type { CertificateDetails, Pair, X509 } from './ports.ts';
import { sweep } from './sweep.ts';

/*
 * INVARIANTS
 * - A generation is used only after it was read back from disk whole and found good, and it never changes afterwards. `current`
 *   is turned by one rename(2): a crash at any step leaves the old generation in use or the new one, never a part of one.
 * - Orders, sweep and write of a state belong to the one run at a time that holds the host's lock. The agent installs pairs of the
 *   admin without it, so sweep spares what is young. Reading needs no lock.
 * - What a vhost still names is never removed, nor what is in use, nor what was in use before that.
 */

/** A generation in use. Its folder is what a vhost names. */
export interface InstalledCertificate extends CertificateDetails, CertificateInUse {
  site: string;
  generation: string;
  chainPath: string;
  keyPath: string;
}

export interface CertificateStore {
  /** The generation in use, or null when there is none that is whole. A look at two files where nothing changed. */
  current(site: string): Promise<InstalledCertificate | null>;
  /** Chain and key of a generation. Throws AF_CERTIFICATE when they are gone. */
  pair(installed: Pick<InstalledCertificate, 'site' | 'chainPath' | 'keyPath'>): Promise<Pair>;
  /**
   * Makes the pair the site's current generation; does nothing when it is. Throws AF_CERTIFICATE when it is not good for these
   * names now, AF_FILE when it cannot be written; the old generation is then still in use.
   */
  install(site: string, pair: Pair, names: readonly string[], now: number): Promise<InstalledCertificate>;
  readState(site: string): Promise<CertificateState>;
  writeState(site: string, state: CertificateState): Promise<void>;
  /** Sites of which there is anything, also those that are gone. */
  sites(): Promise<string[]>;
  /** Names of the site's generations, oldest first. */
  generations(site: string): Promise<string[]>;
  /**
   * Removes generations that are of no use any more, and all of sites that have been gone for 30 days. `named`: folders of the
   * generations that installed vhosts name. Resolves to the folders that were removed.
   */
  sweep(present: ReadonlySet<string>, named: ReadonlySet<string>, now: number): Promise<string[]>;
  /** Where the self-signed pair is; made when it is not there. */
  placeholder(now: number): Promise<{ chainPath: string; keyPath: string }>;
}

interface Read {
  generation: string;
  /** Of both files; null while they may still change unseen. */
  stamp: string | null;
  installed: InstalledCertificate | null;
}

const secretFolder = 0o700;
const secretFile = 0o600;
/** Reserved by RFC 6761 6.4: no visitor ever asks for it. */
const placeholderNames = ['placeholder.invalid'];

/**
 * The store below /var/lib/appfleet/certs. `reading` says what is done with a pair that is seen for the first time: `pair` holds
 * the key against the certificate (0.9 ms each, for who repairs), `chain` only reads the chain (0.3 ms, for who watches a
 * thousand sites: install has held them against each other, and nginx does so again).
 */
export const createStore = (files: Files, x509: X509, reading: 'pair' | 'chain' = 'pair'): CertificateStore => {
  const known = new Map<string, Read>();
  const states = new Map<string, { stamp: string; state: CertificateState }>();

  const makeSiteFolder = async (site: string): Promise<void> => {
    if (!isSite(site)) throw new AppFleetError('AF_CERTIFICATE', `${JSON.stringify(site)} is not the name of a site`);
    await files.makeFolder(paths.certificates, secretFolder);
    await files.makeFolder(certificateFolder(site), secretFolder);
  };

  const readPair = async (folder: string): Promise<Pair | null> => {
    const { chain, key } = pairPaths(folder);
    const [chainPem, keyPem] = [await files.read(chain), await files.read(key)];
    return chainPem === null || keyPem === null ? null : { chainPem, keyPem };
  };

  const writePair = async (folder: string, { chainPem, keyPem }: Pair): Promise<void> => {
    const { chain, key } = pairPaths(folder);
    await files.makeFolder(folder, secretFolder);
    await files.write({ path: key, text: keyPem, mode: secretFile });
    await files.write({ path: chain, text: chainPem, mode: secretFile });
  };

  const stampOf = async (folder: string): Promise<string | null> => {
    const { chain, key } = pairPaths(folder);
    const [one, other] = [await files.stamp(chain), await files.stamp(key)];
    return one === null || other === null ? null : `${one} ${other}`;
  };

  const describe = (site: string, generation: string, details: CertificateDetails): InstalledCertificate => {
    const folder = generationFolder(site, generation);
    const { chain, key } = pairPaths(folder);
    return {
      ...details,
      site,
      generation,
      folder,
      chainPath: chain,
      keyPath: key,
      obtained: generationTime(generation),
    };
  };

  /** The leaf of a pair that nginx can use, or null: half of it is lost, or it is no pair. Dates are not looked at. */
  const leafOf = (pair: Pair | null, depth: typeof reading): CertificateDetails | null => {
    if (pair === null) return null;
    try {
      const [leaf] = x509.read(pair.chainPem);
      if (leaf === undefined) return null;
      return depth === 'pair' && x509.wrong(pair, [], leaf.notBefore) !== null ? null : leaf;
    } catch (error) {
      if (error instanceof AppFleetError && error.code === 'AF_CERTIFICATE') return null;
      throw error;
    }
  };

  const current = async (site: string): Promise<InstalledCertificate | null> => {
    const generation = await linkedGeneration(files, currentGeneration(site));
    if (generation === null) {
      known.delete(site);
      return null;
    }
    const stamp = await stampOf(generationFolder(site, generation));
    const before = known.get(site);
    if (before !== undefined && stamp !== null && before.generation === generation && before.stamp === stamp)
      return before.installed;
    const leaf = leafOf(await readPair(generationFolder(site, generation)), reading);
    const installed = leaf === null ? null : describe(site, generation, leaf);
    known.set(site, { generation, stamp, installed });
    return installed;
  };

  const pair: CertificateStore['pair'] = async ({ site, chainPath, keyPath }) => {
    const [chainPem, keyPem] = [await files.read(chainPath), await files.read(keyPath)];
    if (chainPem === null || keyPem === null)
      throw new AppFleetError('AF_CERTIFICATE', `the certificate of ${site} is gone from ${chainPath}`);
    return { chainPem, keyPem };
  };

  const isSame = async (site: string, old: InstalledCertificate, wanted: Pair): Promise<boolean> => {
    const { chainPem, keyPem } = await pair({ ...old, site });
    return chainPem === wanted.chainPem && keyPem === wanted.keyPem;
  };

  /** A name that no generation has, not even the rest of one: what is there is never changed. */
  const freshName = async (site: string, { fingerprint }: CertificateDetails, now: number): Promise<string> => {
    const taken = await files.list(certificateFolder(site));
    for (let time = now; ; time += 1) {
      const name = generationName(time, fingerprint);
      if (!taken.includes(name)) return name;
    }
  };

  const install: CertificateStore['install'] = async (site, wanted, names, now) => {
    const refuse = (reason: string): never => {
      throw new AppFleetError('AF_CERTIFICATE', `the certificate for ${site} is not installed: ${reason}`);
    };
    const wrong = x509.wrong(wanted, names, now);
    const [leaf] = wrong === null ? x509.read(wanted.chainPem) : [];
    if (wrong !== null || leaf === undefined) return refuse(wrong ?? 'there is none');
    const old = await current(site);
    if (old !== null && (await isSame(site, old, wanted))) return old;
    const generation = await freshName(site, leaf, now);
    const folder = generationFolder(site, generation);
    try {
      await makeSiteFolder(site);
      await writePair(folder, wanted);
      // What a disk keeps is not always what it was given.
      const written = await readPair(folder);
      const damage = written === null ? 'it is not on disk' : x509.wrong(written, names, now);
      if (damage !== null) refuse(`after writing it, ${damage}`);
      // By a link: names of generations do not tell their order once the clock was set back.
      if (old !== null) await files.link(previousGeneration(site), old.generation);
      await files.link(currentGeneration(site), generation);
    } catch (error) {
      if ((await linkedGeneration(files, currentGeneration(site)).catch(() => generation)) !== generation)
        await files.removeTree(folder).catch(() => undefined);
      if (!(error instanceof AppFleetError) || error.code !== 'AF_FILE') throw error;
      const stays = old === null ? '' : '; the old one stays in use';
      throw new AppFleetError('AF_FILE', `the certificate for ${site} is not installed: ${messageOf(error)}${stays}`, {
        cause: error,
        ...(error.hint === undefined ? {} : { hint: error.hint }),
      });
    }
    known.delete(site);
    return describe(site, generation, leaf);
  };

  return {
    current,
    pair,
    install,
    readState: async (site) => {
      const stamp = await files.stamp(certificateState(site));
      const before = states.get(site);
      if (before !== undefined && before.stamp === stamp) return before.state;
      const state = parseState(await files.read(certificateState(site)));
      if (stamp !== null) states.set(site, { stamp, state });
      return state;
    },
    writeState: async (site, state) => {
      await makeSiteFolder(site);
      await files.write({ path: certificateState(site), text: printState(state), mode: secretFile });
      states.delete(site);
    },
    sites: () => certificateSites(files),
    generations: (site) => generationsOf(files, site),
    sweep: (present, named, now) => sweep(files, present, named, now),
    placeholder: async (now) => {
      const { chain, key } = pairPaths(placeholderFolder);
      // Its dates do not matter: nobody trusts it, and vhosts name it already.
      if (leafOf(await readPair(placeholderFolder), 'pair') === null) {
        await files.makeFolder(paths.certificates, secretFolder);
        await writePair(placeholderFolder, await x509.placeholder(placeholderNames, now));
      }
      return { chainPath: chain, keyPath: key };
    },
  };
};
