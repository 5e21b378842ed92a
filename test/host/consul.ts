/** A real Consul agent on a test host: Debian 11's 1.8.7 in development mode, as a transient unit. It forgets everything when it ends. */
import { setTimeout as pause } from 'node:timers/promises';
import { bringProgram } from './programs.ts';
import type { TestHost } from './test-host.ts';

const unit = 'consul.service';
export const rootToken = '11111111-2222-3333-4444-555555555555';
const api = 'http://127.0.0.1:8500/v1';

export interface CatalogService {
  ServiceID: string;
  ServiceName: string;
  ServiceAddress: string;
  ServicePort: number;
  ServiceTags: string[];
  ServiceMeta: Record<string, string>;
}

export interface TestConsul {
  /** Asks its API; the body as parsed JSON, or null for 404. */
  get<T>(path: string): Promise<T | null>;
  /** The answer's body. */
  put(path: string, body?: string): Promise<string>;
  remove(path: string): Promise<void>;
  /** All instances of a service in the catalog. */
  catalog(service: string): Promise<CatalogService[]>;
  /** Status and output of the check of a service, by the service's id; null when there is none. */
  check(id: string): Promise<{ Status: string; Output: string } | null>;
  /** A key as text; null when there is none. */
  key(name: string): Promise<string | null>;
  /** Numbers of the last writes to services, checks and keys: they stay as long as nothing is written. */
  lastWrites(): Promise<string[]>;
  /** Addresses that its DNS gives for a name. */
  resolve(name: string): Promise<string[]>;
  stop(): Promise<void>;
  /** Starts it without anything that it knew. */
  start(): Promise<void>;
  /** It accepts connections and answers nothing. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
}

/** Nobody may do anything without a token; this one may do everything. */
const acl = {
  primary_datacenter: 'dc1',
  acl: { enabled: true, default_policy: 'deny', down_policy: 'extend-cache', tokens: { master: rootToken } },
};

/** Ways in besides plain HTTP: a unix socket, and HTTPS that wants a certificate of its clients. */
export const waysIn = {
  socket: '/run/consul-test/http.sock',
  httpsPort: 8501,
  ca: '/run/consul-test/ca.pem',
  certificate: '/run/consul-test/client.pem',
  key: '/run/consul-test/client.key',
} as const;

const makeCertificates = `
umask 077; mkdir -p /run/consul-test; cd /run/consul-test
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=root 2>/dev/null
for name in server client; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key -out $name.csr -subj /CN=$name 2>/dev/null
  printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' >$name.ext
  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile $name.ext -out $name.pem 2>/dev/null
done
`;

const ways = {
  addresses: { http: `127.0.0.1 unix://${waysIn.socket}`, https: '127.0.0.1' },
  ports: { https: waysIn.httpsPort },
  ca_file: waysIn.ca,
  cert_file: '/run/consul-test/server.pem',
  key_file: '/run/consul-test/server.key',
  verify_incoming_https: true,
};

/** `secured`: with ACLs, default deny. */
export const startConsul = async (
  host: TestHost,
  log: (line: string) => void,
  { secured = false }: { secured?: boolean } = {},
): Promise<TestConsul> => {
  await bringProgram(host, 'consul', log);
  const as = secured ? ['-H', `X-Consul-Token: ${rootToken}`] : [];
  const curl = (...words: string[]) => host.run(['curl', '-sS', '-m', '10', ...as, ...words], { allowFail: true });
  const get = async <T>(path: string): Promise<T | null> => {
    const { code, stdout, stderr } = await curl('-w', '\n%{http_code}', `${api}${path}`);
    const [, body = '', status = ''] = /^([\s\S]*)\n(\d+)$/.exec(stdout) ?? [];
    if (code !== 0 || (status !== '200' && status !== '404'))
      throw new Error(`Consul: ${path}: ${status} ${body}${stderr}`);
    return status === '404' ? null : (JSON.parse(body) as T);
  };
  const put = async (path: string, body = ''): Promise<string> => {
    const argv = ['curl', '-sS', '-m', '10', ...as, '--fail', '-X', 'PUT', '--data-binary', '@-', `${api}${path}`];
    return (await host.run(argv, { input: body })).stdout;
  };
  const start = async (): Promise<void> => {
    await host.run(['systemctl', 'reset-failed', unit], { allowFail: true });
    await host.write(
      '/run/consul-test/config/settings.json',
      JSON.stringify({ ...ways, ...(secured ? acl : {}) }),
      0o600,
    );
    await host.run([
      ...['systemd-run', '--quiet', '--collect', `--unit=${unit}`, '/usr/bin/consul', 'agent', '-dev'],
      ...[
        '-bind=127.0.0.1',
        '-client=127.0.0.1',
        '-disable-host-node-id',
        '-log-level=warn',
        '-config-dir=/run/consul-test/config',
      ],
    ]);
    for (const end = Date.now() + 20_000; Date.now() < end; await pause(50))
      if ((await curl('-o', '/dev/null', '--fail', `${api}/catalog/nodes?consistent`)).code === 0) return;
    throw new Error(`Consul has no leader: journalctl -u ${unit}`);
  };
  const stop = async (): Promise<void> => {
    await host.run(['systemctl', 'kill', '-s', 'CONT', unit], { allowFail: true });
    await host.run(['systemctl', 'kill', '-s', 'KILL', unit], { allowFail: true });
    await host.run(['systemctl', 'stop', unit], { allowFail: true });
  };
  await stop();
  await host.sh(`rm -rf /run/consul-test; ${makeCertificates}`);
  await start();
  return {
    get,
    put,
    remove: async (path) => void (await curl('-X', 'DELETE', `${api}${path}`)),
    catalog: async (service) => (await get<CatalogService[]>(`/catalog/service/${service}`)) ?? [],
    check: async (id) => {
      const checks = await get<Record<string, { Status: string; Output: string; ServiceID: string }>>('/agent/checks');
      return Object.values(checks ?? {}).find(({ ServiceID }) => ServiceID === id) ?? null;
    },
    key: async (name) => {
      const found = await get<{ Value: string | null }[]>(`/kv/${name}`);
      return found?.[0] === undefined ? null : Buffer.from(found[0].Value ?? '', 'base64').toString('utf8');
    },
    lastWrites: async () => {
      const indexes: string[] = [];
      for (const path of ['/catalog/services', '/health/state/any', '/kv/?recurse'])
        indexes.push(
          /^x-consul-index: (\d+)/im.exec((await curl('-D', '-', '-o', '/dev/null', `${api}${path}`)).stdout)?.[1] ??
            '',
        );
      return indexes;
    },
    resolve: async (name) => {
      const script = `
import socket, struct, sys
name = sys.argv[1]
query = struct.pack('>HHHHHH', 1, 256, 1, 0, 0, 0)
query += b''.join(bytes([len(p)]) + p.encode() for p in name.split('.')) + b'\\0' + struct.pack('>HH', 1, 1)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)
s.sendto(query, ('127.0.0.1', 8600)); data = s.recv(4096)
count = struct.unpack('>H', data[6:8])[0]; at = len(query)
for _ in range(count):
    at += 10; size = struct.unpack('>H', data[at:at + 2])[0]; at += 2
    print(socket.inet_ntoa(data[at:at + size])); at += size
`;
      return (await host.run(['python3', '-c', script, name])).stdout.split('\n').filter(Boolean);
    },
    stop,
    start,
    freeze: async () => void (await host.run(['systemctl', 'kill', '-s', 'STOP', unit])),
    thaw: async () => void (await host.run(['systemctl', 'kill', '-s', 'CONT', unit])),
  };
};
