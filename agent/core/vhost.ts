/** The vhost of a site and the file that all vhosts share, as text. What depends on what is said in vhost-templates/. */
import { sha256 } from './hash.ts';
import { listenLines, type NginxFacts } from './listen.ts';
import { header, httpSocket, openMark, paths, wakeSocket } from './names.ts';
import { quoteNginx } from './nginx-quote.ts';
import type { Settings, SiteSpec } from './spec.ts';
import { render, template, type Templates, type View } from './template.ts';
import { ciphers, tlsView, type VhostPair } from './vhost-tls.ts';
import { asFile, asHeader, asName, asNumber, asPath, asThumbprint } from './vhost-value.ts';

/** A file of the admin's that a vhost includes: a copy of it is tested and installed, so that later edits break nothing. */
export interface Snippet {
  /** The admin's file. */
  file: string;
  text: string;
}

export interface Snippets<T> {
  /** For the server block. */
  server: T | null;
  /** For `location /`. */
  location: T | null;
}

/** A vhost as rendered, with the admin's snippets that it wants to include. */
export interface VhostCandidate {
  site: string;
  /** The admin's site file, for messages. */
  source: string;
  /** Rendered anew each time: it is needed when it changed, and a thousand of them would only lie in memory. */
  readonly text: string;
  /** sha256 of the text. */
  hash: string;
  /** Copies that the text includes; they are to be written before it. */
  snippets: readonly (Snippet & { copy: string })[];
  /** The text without snippets, for a new site whose snippets nginx refuses; null when there are none. */
  readonly plainText: string | null;
}

const list = <K extends string>(key: K, values: readonly string[]): Record<K, string>[] =>
  values.map((value) => ({ [key]: value }) as Record<K, string>);
const when = <T extends View>(condition: boolean, view: () => T): T[] => (condition ? [view()] : []);

/** Pairs of names of which the first only sends visitors to the second. */
const redirectsOf = (names: readonly string[], redirect: SiteSpec['redirect']): { from: string; to: string }[] => {
  if (redirect === 'none') return [];
  const pairs = names
    .filter((name) => name.startsWith('www.') && names.includes(name.slice(4)))
    .map((www) => ({ www, apex: www.slice(4) }));
  return pairs.map(({ www, apex }) => (redirect === 'to-apex' ? { from: www, to: apex } : { from: apex, to: www }));
};

const ownHeaders = new Set(['retry-after', 'cache-control']);

const asHeaders = (headers: SiteSpec['headers']): { header: string; value: string }[] =>
  headers.map(([name, value]) => ({ header: asHeader(name), value }));

/** First the script that answers for every path without a file of its own. */
const frontOf = (index: readonly string[]): string => `/${index.find((file) => file.endsWith('.php')) ?? 'index.php'}`;

/** The first request waits for the start as well, in the same time limit. */
const timeoutOf = (spec: SiteSpec): string =>
  `${asNumber(Math.max(spec.readTimeoutSeconds, spec.container?.startTimeoutSeconds ?? 0))}s`;

const builtInPage = '@appfleet_unavailable';
const ownPage = '/.appfleet/unavailable';

const splitPath = (path: string): { folder: string; pageFile: string } => {
  const slash = asPath(path).lastIndexOf('/');
  return { folder: path.slice(0, slash) || '/', pageFile: path.slice(slash) };
};

/** nginx's words for the links that it does not follow. */
const refusedLinks = { no: 'on', owner: 'if_not_owner' } as const;

/** The outermost folder above the root that the site's own program can write to. Null, which is usual: the root's path is the admin's. */
const writableAbove = (root: string, container: SiteSpec['container']): string | null => {
  const above = (container?.volumes ?? [])
    .filter(({ host, readOnly }) => !readOnly && root.startsWith(host === '/' ? host : `${host}/`))
    .map(({ host }) => host);
  return above.sort((one, other) => one.length - other.length)[0] ?? null;
};

const linksOf = ({ root, symlinks, container }: SiteSpec): View[] => {
  if (root === null || symlinks === 'yes') return [];
  const above = writableAbove(root, container);
  return [
    {
      refused: refusedLinks[symlinks],
      writable: when(above !== null, () => ({ path: asPath(above ?? ''), from: `from=${asPath(above ?? '')}` })),
    },
  ];
};

const runtimeView = (spec: SiteSpec): View => {
  const { name, runtime } = spec;
  const index = list('file', spec.index.map(asFile));
  const proxied = runtime === 'node' || runtime === 'container';
  if (!proxied && spec.root === null) throw new TypeError(`a ${runtime} site needs a root`);
  return {
    wakeSocket: wakeSocket(name),
    openMark: openMark(name),
    timeout: timeoutOf(spec),
    php: when(runtime === 'php-fpm', () => ({
      index,
      front: frontOf(spec.index),
      containerRoot: asPath(spec.containerRoot),
      fastcgi: `unix:${httpSocket(name)}`,
    })),
    // Without anything behind the socket's path nginx passes the visitor's URI on byte for byte.
    proxy: when(proxied, () => ({
      place: spec.root === null ? '/' : '@appfleet_app',
      upstream: `http://unix:${httpSocket(name)}`,
    })),
    // Where nginx looks at names because it sends what it finds.
    listed: !proxied,
    static: when(runtime === 'static', () => ({ index })),
  };
};

const siteView = (spec: SiteSpec, include: Snippets<string>, realm: string): View => {
  const names = [spec.name, ...spec.aliases].map(asName);
  return {
    redirects: redirectsOf(names, spec.redirect),
    names: list('name', names),
    maxBodyBytes: asNumber(spec.maxBodyBytes),
    files: when(spec.root !== null, () => ({ root: asPath(spec.root ?? '') })),
    links: linksOf(spec),
    auth: when(spec.basicAuth !== null, () => ({ realm, users: asPath(spec.basicAuth ?? '') })),
    headers: asHeaders(spec.headers),
    // A location with headers of its own does not inherit those of the server.
    pageHeaders: asHeaders(spec.headers.filter(([name]) => !ownHeaders.has(name.toLowerCase()))),
    unavailable: spec.maintenancePage === null ? builtInPage : ownPage,
    page: when(spec.maintenancePage !== null, () => splitPath(spec.maintenancePage ?? '')),
    serverSnippet: when(include.server !== null, () => ({ copy: include.server ?? '' })),
    locationSnippet: when(include.location !== null, () => ({ copy: include.location ?? '' })),
    ...runtimeView(spec),
  };
};

/** A comment ends with its line, and nothing else can end it. */
const commentFrom = (source: string): string => header(encodeURI(source));

/**
 * The vhost of a site. `include` names the copies of the admin's snippets; `pair` is null where not even a placeholder is.
 * Throws TypeError for a value that nginx cannot hold or that is not what its directive takes.
 */
export const renderVhost = (
  spec: SiteSpec,
  nginx: NginxFacts,
  include: Snippets<string>,
  settings: Settings,
  templates: Templates,
  pair: VhostPair | null,
): string => {
  const view = { ...siteView(spec, include, spec.name), ...tlsView(spec, nginx, settings, pair) };
  return `${commentFrom(spec.file)}\n\n${render(template(templates, 'site.conf.mustache'), view, quoteNginx)}`;
};

/** Directives of the shared file that an admin may have set already. */
export const sharedDirectives = [
  'server_names_hash_max_size',
  'server_names_hash_bucket_size',
  'gzip',
  'gzip_vary',
  'gzip_proxied',
  'gzip_comp_level',
  'gzip_min_length',
  'gzip_types',
] as const;

/** What the shared file has to know about the sites and the account with the CA. */
export interface SharedFacts {
  /** Whether any site is served over HTTPS: without one the port is left to others. */
  tls: boolean;
  /** RFC 7638 thumbprint of the account key; null without an account. */
  thumbprint: string | null;
}

/** What all vhosts share: maps, the page for a closed site, compression, the answer to unknown names; it includes the vhosts. */
export const renderShared = (
  settings: Settings,
  nginx: NginxFacts,
  templates: Templates,
  { tls, thumbprint }: SharedFacts,
): string => {
  const { httpPort, httpsPort } = settings;
  const secure = listenLines(nginx, { port: httpsPort, tls: true, isDefault: true });
  const view = {
    ...listenLines(nginx, { port: httpPort, tls: false, isDefault: true }),
    tls: when(tls, () => ({ tlsListens: secure.listens, http2: secure.http2, ciphers })),
    httpsSuffix: httpsPort === 443 ? '' : `:${asNumber(httpsPort)}`,
    forwarded: httpsPort !== 443 && httpPort !== 80,
    account: when(thumbprint !== null, () => ({ thumbprint: asThumbprint(thumbprint ?? '') })),
    ...Object.fromEntries(sharedDirectives.map((name) => [name, !nginx.configured.has(name)])),
    vhosts: `${paths.vhosts}/*.conf`,
  };
  return `${commentFrom(paths.settings)}\n${render(template(templates, 'shared.conf.mustache'), view, quoteNginx)}`;
};

/** Where the tested copy of a snippet lies: named after its content, so a copy never changes once it is tested. */
export const snippetCopy = (text: string): string => `${paths.state}/snippets/${sha256(text)}.conf`;

/** A vhost with what it takes to test and install it. Throws TypeError as renderVhost does. */
export const vhostCandidate = (
  spec: SiteSpec,
  nginx: NginxFacts,
  snippets: Snippets<Snippet>,
  settings: Settings,
  templates: Templates,
  pair: VhostPair | null,
): VhostCandidate => {
  const used = [snippets.server, snippets.location].filter((snippet) => snippet !== null);
  const copyOf = (snippet: Snippet | null): string | null => (snippet === null ? null : snippetCopy(snippet.text));
  const include = { server: copyOf(snippets.server), location: copyOf(snippets.location) };
  const none = { server: null, location: null };
  const text = (including: Snippets<string>): string => renderVhost(spec, nginx, including, settings, templates, pair);
  return {
    site: spec.name,
    source: spec.file,
    get text() {
      return text(include);
    },
    hash: sha256(text(include)),
    snippets: used.map((snippet) => ({ ...snippet, copy: snippetCopy(snippet.text) })),
    get plainText() {
      return used.length === 0 ? null : text(none);
    },
  };
};
