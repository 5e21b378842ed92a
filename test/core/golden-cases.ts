/**
 * Golden cases: folders that anyone can read. A case is what an admin has in /etc/appfleet, and `expected/` is everything that
 * is made from it; `certificates.txt` names the sites that have a certificate. Adding a case is adding a folder and running `UPDATE_GOLDEN=1 npx tap test/core/golden.test.ts`.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { desiredService, desiredSite, type Member } from '../../agent/core/desired.ts';
import type { NginxFacts, Version } from '../../agent/core/listen.ts';
import { generationFolder, paths } from '../../agent/core/names.ts';
import { describeProblem } from '../../agent/core/problem.ts';
import type { Templates } from '../../agent/core/template.ts';
import { hasTls } from '../../agent/core/tls-keys.ts';
import { renderShared, vhostCandidate } from '../../agent/core/vhost.ts';
import { generationPair, placeholderPair, type VhostPair } from '../../agent/core/vhost-tls.ts';
import { createFleetReader, type Fleet } from '../../agent/reconcile/fleet.ts';
import { createFakeHost } from '../fakes/host.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const cases = join(repository, 'test/cases');

const readTemplates = (): Templates =>
  Object.fromEntries(
    ['units', 'vhost-templates'].flatMap((folder) =>
      readdirSync(join(repository, folder))
        .filter((name) => name.endsWith('.mustache'))
        .map((name) => [name, readFileSync(join(repository, folder, name), 'utf8')]),
    ),
  );

/** The templates of this checkout. */
export const templates = readTemplates();

const nginxWith = (version: Version): NginxFacts => ({ version, ipv6: true, configured: new Set(['gzip']) });
/** The nginx of the current Debian, and the one of the Debian before. */
const modern = nginxWith([1, 26, 3]);
const old = nginxWith([1, 22, 1]);

const filesBelow = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((path) => lstatSync(join(folder, path)).isFile())
        .sort()
    : [];

/** The folders of a kind of case. */
export const caseFolders = (kind: 'site' | 'site-errors'): string[] =>
  readdirSync(join(cases, kind))
    .sort()
    .map((name) => join(cases, kind, name));

/** Reads a case as if it were /etc/appfleet. */
export const readCase = (folder: string): Promise<Fleet> => {
  const { files, disk } = createFakeHost();
  for (const path of filesBelow(folder))
    if (!/^expected(\/|$)|^(problems|certificates)\.txt$/.test(path))
      disk.set(`${paths.config}/${path}`, readFileSync(join(folder, path), 'utf8'));
  return createFleetReader(files)();
};

export type Texts = Map<string, string>;

/** What `certificates.txt` says: a line per site that has one, and `account THUMBPRINT`. */
const hostFacts = (folder: string): { issued: ReadonlySet<string>; thumbprint: string | null } => {
  const file = join(folder, 'certificates.txt');
  const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
  const account = lines.find((line) => line.startsWith('account '));
  return { issued: new Set(lines), thumbprint: account?.slice('account '.length) ?? null };
};

/** Modes, paths and links of a member, a line each. */
const listing = (member: Member): string =>
  [
    ...member.files.map(({ path, mode }) => `${mode.toString(8).padStart(4, '0')} ${path}`),
    ...[...member.links, member.wants].map(({ path, target }) => `link ${path} -> ${target}`),
    '',
  ].join('\n');

/** Everything that a case becomes, by path below `expected/`. */
export const renderCase = async (folder: string): Promise<Texts> => {
  const fleet = await readCase(folder);
  if (fleet.problems.length > 0) throw new Error(fleet.problems.map(describeProblem).join('\n'));
  const texts: Texts = new Map();
  const { settings } = fleet;
  const { issued, thumbprint } = hostFacts(folder);
  const pairFor = (site: string): VhostPair =>
    issued.has(site) ? generationPair(generationFolder(site, '20260101T000000Z-0123abcd')) : placeholderPair;
  const add = (member: Member): void => {
    texts.set(`${member.name}/files.txt`, listing(member));
    for (const { path, text } of member.files) texts.set(`${member.name}/${basename(path)}`, text);
  };
  for (const spec of fleet.services) add(desiredService(spec, fleet.environments.get(spec.name) ?? {}, templates));
  for (const spec of fleet.sites) {
    add(desiredSite(spec, fleet.environments.get(spec.name) ?? {}, settings, templates));
    const snippets = fleet.snippets.get(spec.name) ?? { server: null, location: null };
    const vhost = (facts: NginxFacts): string =>
      vhostCandidate(spec, facts, snippets, settings, templates, pairFor(spec.name)).text;
    texts.set(`${spec.name}/vhost.conf`, vhost(modern));
    if (vhost(old) !== vhost(modern)) texts.set(`${spec.name}/vhost.nginx-1.22.conf`, vhost(old));
  }
  // What all vhosts share depends on the settings alone, so only a case that has some shows it.
  if (existsSync(join(folder, 'appfleet.ini'))) {
    const tls = fleet.sites.length === 0 || fleet.sites.some((spec) => hasTls(spec.tls));
    const shared = (facts: NginxFacts): string => renderShared(settings, facts, templates, { tls, thumbprint });
    texts.set('shared.conf', shared(modern));
    if (shared(old) !== shared(modern)) texts.set('shared.nginx-1.22.conf', shared(old));
  }
  return texts;
};

/** What lies in `expected/`. */
export const readExpected = (folder: string): Texts =>
  new Map(
    filesBelow(join(folder, 'expected')).map((path) => [path, readFileSync(join(folder, 'expected', path), 'utf8')]),
  );

/** Replaces `expected/`; to be read before it is committed. */
export const writeExpected = (folder: string, texts: Texts): void => {
  rmSync(join(folder, 'expected'), { recursive: true, force: true });
  for (const [path, text] of texts) {
    mkdirSync(dirname(join(folder, 'expected', path)), { recursive: true });
    writeFileSync(join(folder, 'expected', path), text);
  }
};

/** Problems of a case as its admin would see them, and who keeps what was there before. */
export const describeCase = async (folder: string): Promise<string> => {
  const { problems, keep } = await readCase(folder);
  return [...problems.map(describeProblem), ...[...keep].sort().map((name) => `kept: ${name}`), ''].join('\n');
};

export interface GoldenUnits {
  case: string;
  /** Units by file name. */
  units: Texts;
  /** Other names of them: file name -> target. */
  links: Map<string, string>;
}

const unitName = /\.(service|socket)$/;

/** The golden units, case by case: what is in one case may refer to each other. */
export const goldenUnits = (): GoldenUnits[] =>
  caseFolders('site').map((folder) => {
    const all = [...readExpected(folder)];
    const links = all
      .filter(([path]) => path.endsWith('/files.txt'))
      .flatMap(([, text]) => [...text.matchAll(/^link \/etc\/systemd\/system\/([^/\s]+) -> (\S+)$/gm)])
      .map(([, name = '', target = '']): [string, string] => [name, target]);
    return {
      case: basename(folder),
      units: new Map(all.filter(([path]) => unitName.test(path)).map(([path, text]) => [basename(path), text])),
      links: new Map(links),
    };
  });

export interface GoldenVhost {
  /** Case and file. */
  title: string;
  text: string;
  /** Whether it is the file that all vhosts share. */
  shared: boolean;
  /** Texts of the snippets that it includes. */
  snippets: string[];
}

/** The golden vhosts for an nginx: those of its own where they differ. */
export const goldenVhosts = (nginx: '1.22' | '1.26'): GoldenVhost[] =>
  caseFolders('site').flatMap((folder) => {
    const expected = readExpected(folder);
    const snippets = filesBelow(join(folder, 'vhost.d')).map((name) =>
      readFileSync(join(folder, 'vhost.d', name), 'utf8'),
    );
    return [...expected].flatMap(([path, text]): GoldenVhost[] => {
      if (!/(^|\/)(vhost|shared)\.conf$/.test(path)) return [];
      const older = expected.get(path.replace(/\.conf$/, '.nginx-1.22.conf'));
      const title = relative(cases, join(folder, 'expected', path));
      return [
        { title, text: (nginx === '1.22' ? older : undefined) ?? text, shared: path === 'shared.conf', snippets },
      ];
    });
  });
