/**
 * Let's Encrypt's small certificate authority for tests, with the DNS server that it asks (both from Debian's package `pebble`),
 * as transient units. It forgets everything when it ends, its roots too.
 */
import { setTimeout as pause } from 'node:timers/promises';

/** Where it runs: a TestHost, or the host itself for a test that runs in one. */
export interface PebbleHost {
  run(
    argv: readonly string[],
    options?: { input?: string; allowFail?: boolean },
  ): Promise<{ code: number; stdout: string }>;
  write(path: string, content: string, mode?: number): Promise<void>;
}

export interface PebbleOptions {
  /** Lifetime of the certificates it issues; five years unless told. */
  readonly validitySeconds?: number;
  /** Port of the names that it asks for HTTP-01. */
  readonly httpPort?: number;
  /** How many of a hundred requests it refuses for their nonce; Pebble's own default, 5, unless told. */
  readonly rejectedNonces?: number;
  /** Waits up to 15 s before each validation, as Pebble does by itself. */
  readonly sleeps?: boolean;
  /** How many of a hundred valid authorizations are used again; 0 unless told, where Pebble's own default is 50. */
  readonly reusedAuthorizations?: number;
  /** Demands an external account binding with one of these: key id -> HMAC key (base64url). */
  readonly bindings?: Readonly<Record<string, string>>;
  /** How many other chains it offers. */
  readonly alternateRoots?: number;
  /** Names (and all below) that it refuses. */
  readonly blocked?: readonly string[];
}

const folder = '/run/pebble';
/** What the host had before; on disk, because a reboot ends Pebble and leaves /etc as it is. */
const ownDns = '/etc/resolv.conf.without-pebble';
const units = { ca: 'pebble.service', dns: 'pebble-dns.service' };
const ports = { directory: 14000, management: 15000, dns: 53, dnsManagement: 8055 };

/** What is the same on every host: its unit, its directory, and the root behind that directory's own TLS (`acme_ca_file`). */
export const pebblePaths = {
  unit: units.ca,
  directoryUrl: `https://localhost:${ports.directory}/dir`,
  caFile: `${folder}/ca.pem`,
} as const;

export interface Pebble {
  readonly directoryUrl: string;
  /** Path in the host of the root that signed the directory's own certificate: for `acme_ca_file`. */
  readonly caFile: string;
  /** Lets a name point at these addresses (IPv4 or IPv6). An empty list: it does not resolve... for that family. */
  point(name: string, addresses: readonly string[]): Promise<void>;
  /** The name gets the answer SERVFAIL. */
  breakDns(name: string): Promise<void>;
  /** Sets or clears the TXT record of `_acme-challenge.NAME`. */
  setTxt(name: string, value: string): Promise<void>;
  clearTxt(name: string): Promise<void>;
  /** PEM of the root that issues certificates now, by the number of the chain. */
  root(chain?: number): Promise<string>;
  /** It refuses connections. */
  stop(): Promise<void>;
  /** Starts it, with other options when told so. It knows nothing of its former life. */
  restart(options?: PebbleOptions): Promise<void>;
  /** It accepts connections and answers nothing, until it goes on with all it knows. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  remove(): Promise<void>;
}

/** A CA and a certificate for the directory's own TLS; no package brings one. */
const makeCertificates = `
umask 077; mkdir -p ${folder}; chmod 755 ${folder}; cd ${folder}
test -e leaf.pem && exit 0
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 3650 \
  -subj '/CN=Root of the test host' -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout leaf.key -out leaf.csr -subj /CN=localhost 2>/dev/null
printf 'subjectAltName=DNS:localhost,DNS:pebble,IP:127.0.0.1\\nextendedKeyUsage=serverAuth\\n' >leaf.ext
openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile leaf.ext -out leaf.pem 2>/dev/null
chmod 644 ca.pem leaf.pem
`;

const configuration = (options: PebbleOptions): string =>
  JSON.stringify({
    pebble: {
      listenAddress: `0.0.0.0:${ports.directory}`,
      managementListenAddress: `0.0.0.0:${ports.management}`,
      certificate: `${folder}/leaf.pem`,
      privateKey: `${folder}/leaf.key`,
      httpPort: options.httpPort ?? 80,
      tlsPort: 443,
      ocspResponderURL: '',
      externalAccountBindingRequired: options.bindings !== undefined,
      externalAccountMACKeys: options.bindings ?? {},
      domainBlocklist: options.blocked ?? [],
      retryAfter: { authz: 0, order: 0 },
      ...(options.validitySeconds === undefined ? {} : { certificateValidityPeriod: options.validitySeconds }),
    },
  });

const environment = (options: PebbleOptions): readonly string[] => [
  ...(options.sleeps ? [] : ['PEBBLE_VA_NOSLEEP=1']),
  ...(options.rejectedNonces === undefined ? [] : [`PEBBLE_WFE_NONCEREJECT=${options.rejectedNonces}`]),
  `PEBBLE_AUTHZREUSE=${options.reusedAuthorizations ?? 0}`,
  `PEBBLE_ALTERNATE_ROOTS=${options.alternateRoots ?? 0}`,
];

const stop = async (host: PebbleHost, ...which: string[]): Promise<void> => {
  // A frozen one would sit out the time that systemd gives it.
  await host.run(['systemctl', 'kill', '-s', 'CONT', ...which], { allowFail: true });
  await host.run(['systemctl', 'stop', ...which], { allowFail: true });
  await host.run(['systemctl', 'reset-failed', ...which], { allowFail: true });
};

/** Ends both, and gives the host its own DNS back. */
export const removePebble = async (host: PebbleHost): Promise<void> => {
  await stop(host, units.ca, units.dns);
  await host.run(['sh', '-euc', `cat ${ownDns} >/etc/resolv.conf; rm -rf ${ownDns} ${folder}`]);
};

/** Starts both; names that nobody pointed anywhere resolve to 127.0.0.1. */
export const startPebble = async (host: PebbleHost, first: PebbleOptions = {}): Promise<Pebble> => {
  let options = first;
  const curl = (...words: string[]): Promise<{ code: number; stdout: string }> =>
    host.run(['curl', '-sS', '--fail', '--max-time', '10', '--cacert', `${folder}/ca.pem`, ...words]);
  const tell = (what: string, body: object): Promise<unknown> =>
    curl('-d', JSON.stringify(body), `http://127.0.0.1:${ports.dnsManagement}/${what}`);
  const run = (unit: string, variables: readonly string[], ...argv: string[]): Promise<unknown> =>
    host.run([
      ...['systemd-run', '--quiet', '--collect', `--unit=${unit}`],
      ...variables.map((variable) => `--setenv=${variable}`),
      ...argv,
    ]);
  const answers = async (url: string): Promise<void> => {
    const argv = ['curl', '-s', '--max-time', '1', '--cacert', `${folder}/ca.pem`, '-o', '/dev/null', url];
    for (const end = Date.now() + 20_000; Date.now() < end; await pause(50))
      if ((await host.run(argv, { allowFail: true })).code === 0) return;
    throw new Error(`${url} does not answer: journalctl -u ${units.ca} -u ${units.dns}`);
  };
  const { directoryUrl, caFile } = pebblePaths;
  const start = async (): Promise<void> => {
    await host.write(`${folder}/config.json`, configuration(options));
    const words = ['-config', `${folder}/config.json`, '-dnsserver', `127.0.0.1:${ports.dns}`];
    await run(units.ca, environment(options), '/usr/bin/pebble', ...words);
    await answers(directoryUrl);
  };

  await host.run(['sh', '-euc', makeCertificates]);
  // Debian 12's knows nothing of DNS over HTTPS, Debian 13's insists on it unless told.
  const usage = await host.run(['sh', '-c', 'pebble-challtestsrv -help 2>&1'], { allowFail: true });
  const noDoh = usage.stdout.includes('-doh ') ? ['-doh', ''] : [];
  await stop(host, units.ca, units.dns);
  await run(
    ...([units.dns, [], '/usr/bin/pebble-challtestsrv', '-defaultIPv4', '127.0.0.1', '-defaultIPv6', ''] as const),
    ...['-http01', '', '-https01', '', '-tlsalpn01', '', ...noDoh, '-dns01', `127.0.0.1:${ports.dns}`],
    ...['-management', `127.0.0.1:${ports.dnsManagement}`],
  );
  await answers(`http://127.0.0.1:${ports.dnsManagement}/`);
  // The host asks the same server as the CA.
  await host.run(['sh', '-euc', `test -e ${ownDns} || cp /etc/resolv.conf ${ownDns} 2>/dev/null || : >${ownDns}`]);
  await host.write('/etc/resolv.conf', 'nameserver 127.0.0.1\n');
  await start();

  return {
    directoryUrl,
    caFile,
    point: async (name, addresses) => {
      await tell('clear-servfail', { host: name });
      await tell('clear-a', { host: name });
      await tell('clear-aaaa', { host: name });
      const [v6, v4] = [true, false].map((six) => addresses.filter((address) => address.includes(':') === six));
      if (v4?.length) await tell('add-a', { host: name, addresses: v4 });
      if (v6?.length) await tell('add-aaaa', { host: name, addresses: v6 });
    },
    breakDns: async (name) => void (await tell('set-servfail', { host: name })),
    setTxt: async (name, value) => void (await tell('set-txt', { host: `_acme-challenge.${name}.`, value })),
    clearTxt: async (name) => void (await tell('clear-txt', { host: `_acme-challenge.${name}.` })),
    root: async (chain = 0) => (await curl(`https://localhost:${ports.management}/roots/${chain}`)).stdout,
    stop: () => stop(host, units.ca),
    restart: async (other) => {
      options = other ?? options;
      await stop(host, units.ca);
      await start();
    },
    freeze: async () => void (await host.run(['systemctl', 'kill', '-s', 'STOP', units.ca])),
    thaw: async () => void (await host.run(['systemctl', 'kill', '-s', 'CONT', units.ca])),
    remove: () => removePebble(host),
  };
};
