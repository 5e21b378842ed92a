/** What a vhost says about HTTPS: ports, certificate, and who is sent where. */
import { type ListenLines, listenLines, type NginxFacts } from './listen.ts';
import { pairPaths, placeholderFolder } from './names.ts';
import type { Settings, SiteSpec } from './spec.ts';
import { hasTls } from './tls-keys.ts';
import { asNumber, asPath } from './vhost-value.ts';

/** A chain and its key, as nginx is told of them. */
export interface VhostPair {
  chain: string;
  key: string;
  /** A certificate of the site, not the placeholder. */
  real: boolean;
}

const asPair = (folder: string, real: boolean): VhostPair => ({ ...pairPaths(folder), real });
/** The self-signed pair that stands in until a site has a certificate. */
export const placeholderPair = asPair(placeholderFolder, false);
/** The pair of a generation, by its folder. */
export const generationPair = (folder: string): VhostPair => asPair(folder, true);

/** ssl-config.mozilla.org, intermediate, version 5.7. */
export const ciphers = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'DHE-RSA-AES128-GCM-SHA256',
  'DHE-RSA-AES256-GCM-SHA384',
  'DHE-RSA-CHACHA20-POLY1305',
].join(':');

/**
 * The part of a vhost's view that is about HTTPS. Without a pair the site is served over HTTP alone. Throws TypeError when it
 * must not be.
 *
 * One server for both ports, and conditions in it: for nginx each of them is 7 KB, a server of its own for redirects 15 KB, and
 * one with a certificate 35 KB (measured with nginx 1.26 and 1,000 sites).
 */
export const tlsView = (spec: SiteSpec, nginx: NginxFacts, settings: Settings, pair: VhostPair | null) => {
  const { tls } = spec;
  const wanted = hasTls(tls);
  const byHttp = !wanted || tls.https !== 'only';
  if (!byHttp && pair === null)
    throw new TypeError('there is no certificate and no placeholder, and the site is to be served over HTTPS only');
  const used = wanted ? pair : null;
  const secure = listenLines(nginx, { port: settings.httpsPort, tls: true });
  const listening: ListenLines = {
    listens: [
      // The default server answers for a site that is not there over HTTP: challenges, and 404.
      ...(byHttp ? listenLines(nginx, { port: settings.httpPort, tls: false }).listens : []),
      ...(used === null ? [] : secure.listens),
    ],
    http2: used !== null && secure.http2,
  };
  const seconds = used?.real === true ? tls.hstsSeconds : null;
  return {
    ...listening,
    tls: used === null ? [] : [{ chain: asPath(used.chain), key: asPath(used.key), ciphers }],
    hsts: seconds === null ? [] : [{ seconds: asNumber(seconds) }],
    // Who has certificates of his own may have another ACME client behind this path.
    challenge: wanted && byHttp && tls.mode === 'auto' && settings.acme.directory !== null,
    toHttps: used?.real === true && tls.https === 'redirect',
  };
};
