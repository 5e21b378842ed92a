/** The words of registrator, kv-consul and fleetstreet: what each container asks for, as those tools did it. */
import t from 'tap';
import type { ContainerFacts } from '../../agent/core/container-facts.ts';
import { fleetstreetRecord, hostOfRecord } from '../../agent/core/fleetstreet.ts';
import { keySettings } from '../../agent/core/kv-set.ts';
import { imageName, registratorServices, tagsIn } from '../../agent/core/registrator.ts';

const identity = { host: 'h1', address: '10.0.0.1' };
const id = 'abcdef0123456789'.repeat(4);

/** A container; `ports` like `8080:80`, `53:53/udp`, `6379` for one that is not published. */
const container = (
  words: Record<string, string> = {},
  ports: readonly string[] = ['10000:6379'],
  labels: Record<string, string> = {},
): ContainerFacts => ({
  id,
  name: 'redis.0',
  image: 'registry.example:5000/t/redis:7',
  imageId: 'sha256:1',
  env: Object.entries(words).map(([name, value]) => `${name}=${value}`),
  labels,
  address: '172.17.0.2',
  ports: ports.map((text) => {
    const [, host, exposed = '0', protocol = 'tcp'] = /^(?:(\d+):)?(\d+)(?:\/(udp))?$/.exec(text) ?? [];
    return {
      exposed: Number(exposed),
      protocol: protocol === 'udp' ? 'udp' : 'tcp',
      host: host === undefined ? null : { address: '0.0.0.0', port: Number(host) },
    };
  }),
  inspected: {
    Id: id,
    Name: '/redis.0',
    Config: { Env: ['SECRET=swordfish', 'FLEETSTREET_NAME=mytest'], Image: 't/redis' },
  },
});

t.test('tags', (t) => {
  t.strictSame(tagsIn('master,backups'), ['master', 'backups']);
  t.strictSame(tagsIn('a\\,b,,c'), ['a,b', 'c']);
  t.strictSame(tagsIn(''), []);
  t.end();
});

t.test('names of images', (t) => {
  for (const [image, name] of [
    ['redis', 'redis'],
    ['redis:7', 'redis'],
    ['t/redis@sha256:0', 'redis'],
    ['registry.example:5000/t/redis:7', 'redis'],
  ] as const)
    t.equal(imageName(image), name);
  t.end();
});

t.test('registrator: one service for each published port', (t) => {
  const services = (...args: Parameters<typeof container>) =>
    registratorServices(container(...args), identity).map(({ id, name, address, port, tags, meta }) => ({
      id,
      name,
      at: `${address}:${port}`,
      tags,
      meta,
    }));
  const mark = { 'appfleet-host': 'h1' };
  t.strictSame(services({ SERVICE_NAME: 'db', SERVICE_TAGS: 'master,backups', SERVICE_REGION: 'us2' }), [
    {
      id: 'h1:redis.0:6379',
      name: 'db',
      at: '10.0.0.1:10000',
      tags: ['master', 'backups'],
      meta: { region: 'us2', ...mark },
    },
  ]);
  t.strictSame(services(), [{ id: 'h1:redis.0:6379', name: 'redis', at: '10.0.0.1:10000', tags: [], meta: mark }]);
  t.strictSame(services({}, ['6379']), [], 'what is not published is not registered');
  t.strictSame(services({ SERVICE_IGNORE: 'true' }), []);
  t.strictSame(services({ SERVICE_6379_IGNORE: 'yes' }), []);
  t.strictSame(
    services({}, ['80:80', '443:443']).map(({ name }) => name),
    ['redis-80', 'redis-443'],
    'several ports: the name says which',
  );
  t.strictSame(
    services({ SERVICE_NAME: 'web', SERVICE_443_NAME: 'tls', SERVICE_80_TAGS: 'a', SERVICE_TAGS: 'b' }, [
      '80:80',
      '443:443',
    ]).map(({ name, tags }) => [name, tags]),
    [
      ['web-80', ['a']],
      ['tls', ['b']],
    ],
    'words with a port win',
  );
  t.match(services({}, ['53:53/udp']), [{ id: 'h1:redis.0:53:udp', tags: ['udp'] }]);
  t.match(services({ SERVICE_ID: 'mine' }), [{ id: 'mine' }]);
  t.match(services({ SERVICE_NAME: 'env' }, ['1:2'], { SERVICE_NAME: 'label' }), [{ name: 'label' }], 'labels win');
  t.strictSame(services({ service_name: 'x' })[0]?.name, 'redis', 'upper case only');
  t.end();
});

t.test("registrator's checks", (t) => {
  const probe = (words: Record<string, string>) => registratorServices(container(words), identity)[0]?.probe;
  const every = { interval: '10s', timeout: undefined, status: undefined, deregistercriticalserviceafter: undefined };
  t.equal(probe({}), 'none', 'none unless asked for');
  t.strictSame(probe({ SERVICE_CHECK_HTTP: '/health' }), {
    http: 'http://10.0.0.1:10000/health',
    method: undefined,
    ...every,
  });
  t.match(probe({ SERVICE_6379_CHECK_HTTPS: '/', SERVICE_CHECK_INTERVAL: '15s', SERVICE_CHECK_TIMEOUT: '1s' }), {
    http: 'https://10.0.0.1:10000/',
    interval: '15s',
    timeout: '1s',
  });
  t.strictSame(probe({ SERVICE_CHECK_TCP: 'true', SERVICE_CHECK_INITIAL_STATUS: 'passing' }), {
    tcp: '10.0.0.1:10000',
    ...every,
    status: 'passing',
  });
  t.match(probe({ SERVICE_CHECK_TTL: '30s' }), { ttl: '30s' });
  t.match(probe({ SERVICE_CHECK_SCRIPT: 'curl -s $SERVICE_IP:$SERVICE_PORT' }), {
    args: ['curl', '-s', '10.0.0.1:10000'],
  });
  t.match(probe({ SERVICE_CHECK_CMD: 'true' }), { args: ['check-cmd', id.slice(0, 12), '10000', 'true'] });
  t.match(probe({ SERVICE_CHECK_GRPC: 'x', SERVICE_CHECK_DEREGISTER_AFTER: '1m' }), {
    grpc: '10.0.0.1:10000',
    deregistercriticalserviceafter: '1m',
  });
  t.equal(
    (
      registratorServices(container({ SERVICE_CHECK_HTTP: '/' }), { host: 'h1', address: '' })[0]?.probe as {
        http: string;
      }
    ).http,
    'http://127.0.0.1:10000/',
    'Consul on this host asks this host',
  );
  t.end();
});

t.test('kv-consul', (t) => {
  const settings = (words: Record<string, string>, ports?: readonly string[]) =>
    keySettings(container(words, ports), identity);
  t.strictSame(settings({ 'KV_SET:#<SERVICE_NAME>#/#<SERVICE_ID>#/baz': '3' }), [
    { key: 'redis/h1:redis.0:6379/baz', value: '3', onlyIfAbsent: false },
  ]);
  t.strictSame(settings({ 'KV_SET:foo?': '1' }), [{ key: 'foo', value: '1', onlyIfAbsent: true }]);
  t.strictSame(settings({ 'KV_SET:a': 'x=y', OTHER: '1', KV_SET: '1' }), [
    { key: 'a', value: 'x=y', onlyIfAbsent: false },
  ]);
  for (const [placeholder, value] of [
    ['#<IMAGE_NAME>#', 'redis'],
    ['#<IMAGE_ID>#', 'sha256:1'],
    ['#<CONTAINER_NAME>#', 'redis.0'],
    ['#<CONTAINER_ID>#', id],
    ['#<IP_ADDRESS>#', '172.17.0.2'],
    ['#<HOSTNAME>#', 'h1'],
    ['#<HOST_PORT>#', '10000'],
    ['#<HOST_6379_PORT>#', '10000'],
    ['#<SERVICE_6379_NAME>#', 'redis'],
    ['#<SERVICE_6379_ID>#', 'h1:redis.0:6379'],
    ['a#<HOSTNAME>#b#<HOST_PORT>#', 'ah1b10000'],
  ] as const)
    t.strictSame(settings({ 'KV_SET:k': placeholder }), [{ key: 'k', value, onlyIfAbsent: false }], placeholder);
  for (const placeholder of ['#<NONE>#', '#<HOST_1_PORT>#', '#jq<.Name>#'])
    t.match(settings({ 'KV_SET:k': `secret ${placeholder}` }), [
      { wrong: `KV_SET:k: nothing stands for ${placeholder}` },
    ]);
  t.match(settings({ 'KV_SET:': '1' }), [{ wrong: /names no key/ }]);
  t.match(settings({ 'KV_SET:/abs': '1' }), [{ wrong: /names no key/ }]);
  t.strictSame(
    keySettings(container({}, ['1:2'], { 'KV_SET:from/label': 'yes' }), identity),
    [{ key: 'from/label', value: 'yes', onlyIfAbsent: false }],
    'labels too',
  );
  t.end();
});

t.test('fleetstreet', (t) => {
  t.equal(fleetstreetRecord(container(), identity, false), null, 'only who has a name');
  const named = container({ FLEETSTREET_NAME: 'mytest', SECRET: 'swordfish' });
  const redacted = fleetstreetRecord(named, identity, false);
  t.equal(redacted?.key, 'fleetstreet/mytest');
  t.match(JSON.parse(redacted?.text ?? ''), {
    ID: 'mytest',
    IP: '10.0.0.1',
    Container: {
      Name: '/redis.0',
      Config: { Image: 't/redis', Env: ['SECRET=********', 'FLEETSTREET_NAME=********'] },
    },
  });
  t.notMatch(redacted?.text, /swordfish/);
  t.match(fleetstreetRecord(named, identity, true)?.text, /SECRET=swordfish/);
  t.equal(fleetstreetRecord(container({ FLEETSTREET_NAME: '../x' }), identity, false), null);
  t.equal(hostOfRecord(redacted?.text ?? ''), 'h1');
  for (const text of ['', '1', '{}', '{"Host":1}']) t.equal(hostOfRecord(text), null, 'a record of others');
  t.end();
});
