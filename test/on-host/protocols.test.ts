/** What HTTP clients do to a site, on a real host: uploads, streams, WebSockets, odd requests; awake, asleep and while waking. */
import t from 'tap';
import { folder, openHost, until, type HttpAnswer } from './clients/on-host.ts';

t.setTimeout(280_000);
const MB = 1024 * 1024;
const on = await openHost('on-host-protocols');
const { http, sh } = on;

const node = 'node.proto.test';
const tcp = 'tcp.proto.test';
const php = 'php.proto.test';
const files = 'files.proto.test';
const fixed = 'static.proto.test';
const door = 'www.door.proto.test';
/** Programs that hold an answer back for 90 s; nobody else asks them for anything. */
const slow = { node: 'slow-node.proto.test', tcp: 'slow-tcp.proto.test', php: 'slow-php.proto.test' };
const dynamic = [node, tcp, php];

const program = `image = demo/node-app
command = node ${folder}/app.cjs
volumes = ${folder}:${folder}:ro
memory = 64m
idle = 2s
stop_timeout = 1s
`;
const fpm = (root: string): string => `runtime = php-fpm
image = php:fpm
root = ${root}
memory = 64m
idle = 2s
`;

interface Raw {
  method: string;
  url: string;
  raw: string[];
  headers: Record<string, string>;
}
interface Server {
  server: Record<string, string>;
  http_proxy: string | false;
}
const parse = <T>(answer: HttpAnswer): T => {
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.error ?? ''} ${answer.text.slice(0, 500)}`);
  return JSON.parse(answer.text) as T;
};
const asleep = (...domains: string[]): Promise<unknown> => Promise.all(domains.map((domain) => on.sleepNow(domain)));

t.before(async () => {
  await on.clear('.proto.test');
  await sh(`
    cd /srv; rm -rf proto; mkdir -p proto/php/uploads proto/php/.git proto/php/.well-known/acme proto/slow proto/files proto/static
    cp ${folder}/index.php proto/php/index.php; cp ${folder}/index.php proto/php/info.php; cp ${folder}/index.php proto/php/uploads/x.php
    cp ${folder}/index.php proto/slow/index.php
    echo 'SECRET=1' >proto/php/.env; echo secret >proto/php/.git/config; echo token >proto/php/.well-known/acme/token
    for i in $(seq 2000); do echo "line $i of a static file"; done >proto/php/page.txt
    cp proto/php/page.txt proto/files/page.txt; cp proto/php/page.txt proto/static/page.txt
    echo 'SECRET=1' >proto/files/.env; echo 'SECRET=1' >proto/static/.env
    echo hello >'proto/static/a b.txt'; echo home >proto/static/index.html; echo '<h1>Back soon</h1>' >proto/maintenance.html
    printf 'admin:%s\\n' "$(openssl passwd -apr1 secret)" >/etc/appfleet/door.htpasswd; chmod 644 /etc/appfleet/door.htpasswd`);
  await on.putSite(node, `runtime = node\n${program}max_body_size = 400m\n`);
  await on.putSite(tcp, `runtime = container\nport = 3000\n${program}max_body_size = 400m\n`);
  await on.putSite(php, `${fpm('/srv/proto/php')}max_body_size = 400m\nindex = index.php\n`);
  await on.putSite(files, `runtime = node\n${program}root = /srv/proto/files\nmax_body_size = 1m\n`);
  await on.putSite(fixed, 'runtime = static\nroot = /srv/proto/static\n');
  await on.putSite(
    door,
    `[site]\nruntime = node\n${program}aliases = door.proto.test\nredirect = www-to-apex
basic_auth = /etc/appfleet/door.htpasswd\nmaintenance_page = /srv/proto/maintenance.html
[headers]\nX-Test = "one; two"\nContent-Security-Policy = "default-src 'self'"\n`,
  );
  await on.putSite(slow.node, `runtime = node\n${program}`);
  await on.putSite(slow.tcp, `runtime = container\nport = 3000\n${program}`);
  await on.putSite(slow.php, fpm('/srv/proto/slow'));
  const applied = await on.apply();
  if (applied.code !== 0) throw new Error(applied.stdout + applied.stderr);
  late = Object.values(slow).map((domain) => http(domain, { path: '/slow?ms=90000', timeoutMs: 130_000 }));
});

/** Asked for first and looked at last, so that the wait costs nothing. */
let late: Promise<HttpAnswer>[] = [];

t.teardown(() => on.clear('.proto.test'));

t.test('a request wakes each runtime', async (t) => {
  for (const domain of dynamic) {
    const began = await on.starts(domain);
    t.equal((await http(domain, { path: '/raw' })).status, 200, domain);
    t.equal(await on.starts(domain), began + 1, `${domain} was started once`);
  }
});

t.test('an upload of 300 MB to a container of 64 MB arrives whole', async (t) => {
  for (const domain of dynamic) {
    const bytes = 300 * MB;
    const answer = await http(domain, { method: 'POST', path: '/echo', bytes, form: domain === php });
    const echo = parse<{ length: number; sha256: string }>(answer);
    t.equal(echo.length, bytes, `${domain}: length`);
    t.equal(echo.sha256, answer.sent, `${domain}: every byte (${answer.ms} ms)`);
  }
});

t.test('a first request of 50 MB to a sleeping site arrives whole', async (t) => {
  for (const domain of dynamic)
    for (const form of domain === php ? [false, true] : [false]) {
      await asleep(domain);
      const answer = await http(domain, { method: 'POST', path: '/echo', bytes: 50 * MB + 1, form });
      const echo = parse<{ length: number; sha256: string }>(answer);
      t.equal(echo.length, 50 * MB + 1, `${domain}: length`);
      t.equal(echo.sha256, answer.sent, `${domain}: every byte (${answer.ms} ms)`);
    }
});

t.test('many first requests at once', async (t) => {
  await asleep(node);
  const before = await on.starts(node);
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, i) => http(node, { method: 'POST', path: '/echo', bytes: 2 * MB + i })),
  );
  for (const answer of answers) t.equal(parse<{ sha256: string }>(answer).sha256, answer.sent);
  t.equal(await on.starts(node), before + 1, 'parallel first requests start one container');
});

t.test('chunked bodies arrive whole', async (t) => {
  for (const domain of dynamic) {
    const answer = await http(domain, { method: 'PUT', path: '/echo', bytes: 3 * MB + 7, chunked: true });
    const echo = parse<{ length: number; sha256: string }>(answer);
    t.equal(echo.length, 3 * MB + 7, `${domain}: length`);
    t.equal(echo.sha256, answer.sent, `${domain}: every byte`);
  }
});

t.test('a body beyond max_body_size is refused with 413 and wakes nobody', async (t) => {
  await asleep(files);
  const before = await on.starts(files);
  const told = await http(files, { method: 'POST', path: '/echo', bytes: MB + 1 });
  t.equal(told.status, 413, 'with a Content-Length');
  const chunked = await http(files, { method: 'POST', path: '/echo', bytes: 2 * MB, chunked: true });
  t.equal(chunked.status, 413, 'chunked');
  t.equal(await on.starts(files), before, 'the site slept on');
  const largest = await http(files, { method: 'POST', path: '/echo', bytes: MB });
  t.equal(parse<{ length: number }>(largest).length, MB, 'exactly max_body_size passes');
});

t.test('a WebSocket is never cut, and keeps the site awake until it is closed', async (t) => {
  for (const domain of [node, tcp]) {
    await t.test(domain, async (t) => {
      await on.asleep(domain);
      // As the very first request, so it goes through units/wake for its whole life.
      const first = on.client<{ echoes: number; ended?: string }>('websocket.mjs', {
        host: domain,
        silencesMs: [5000, 5000],
        bytes: 200_000,
      });
      await on.awake(domain);
      const second = on.client<{ echoes: number; ended?: string }>('websocket.mjs', {
        host: domain,
        silencesMs: [4000, 3000, 4000],
      });
      let left = 2;
      void Promise.all([first.then(() => left--), second.then(() => left--)]);
      while (left > 0) {
        if (!(await on.isAwake(domain)) && left > 0) t.fail('it fell asleep under an open connection');
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
      t.match(await first, { echoes: 3, ended: undefined }, 'the one that woke it');
      t.match(await second, { echoes: 4, ended: undefined }, 'the one to the awake site');
      const slept = await until(`${domain} sleeps`, () => on.isAsleep(domain), 15);
      t.comment(`asleep ${slept.toFixed(1)} s after the last connection was closed`);
    });
  }
});

t.test('server-sent events arrive as they are sent', async (t) => {
  await Promise.all(
    dynamic.map(async (domain) => {
      await asleep(domain);
      for (const how of ['to a sleeping site', 'to an awake one']) {
        const answer = await http(domain, { path: '/events?count=6&ms=700', headers: { 'accept-encoding': 'gzip' } });
        t.match(answer.headers['content-type'], /^text\/event-stream/, `${domain}, ${how}`);
        const delays = answer.parts.map(({ at, text }) => at - Number(/data: (\d+)/.exec(text)?.[1]));
        t.equal(delays.length, 6, `${domain}, ${how}: one part for each event`);
        t.ok(
          delays.every((delay) => delay < 350),
          `${domain}, ${how}: late by ${delays.join(', ')} ms`,
        );
      }
    }),
  );
});

t.test('HEAD has the headers and no body', async (t) => {
  for (const domain of dynamic) {
    const answer = await http(domain, { method: 'HEAD', path: '/text' });
    t.equal(answer.status, 200, domain);
    t.equal(answer.length, 0, `${domain}: no body`);
    t.match(answer.headers['content-type'], /text\/plain/, `${domain}: type`);
  }
  const file = await http(fixed, { method: 'HEAD', path: '/page.txt' });
  t.equal(
    file.headers['content-length'],
    String((await sh('cat /srv/proto/static/page.txt')).length + 1),
    'length of a file',
  );
  t.equal((await http(node, { method: 'HEAD', path: '/raw' })).status, 200, 'the program sees HEAD');
  await asleep(node);
  t.equal((await http(node, { method: 'HEAD', path: '/text' })).status, 200, 'as a first request');
});

t.test('range requests', async (t) => {
  const text = `${await sh('cat /srv/proto/static/page.txt')}\n`;
  await asleep(files, php);
  const before = [await on.starts(files), await on.starts(php)];
  for (const domain of [fixed, files, php]) {
    const part = await http(domain, { path: '/page.txt', headers: { range: 'bytes=100-299' } });
    t.equal(part.status, 206, `${domain}: a part of a file`);
    t.equal(part.text, text.slice(100, 300), `${domain}: the right one`);
    t.equal(part.headers['content-range'], `bytes 100-299/${text.length}`, domain);
    t.equal((await http(domain, { path: '/page.txt', headers: { range: 'bytes=9999999-' } })).status, 416, domain);
  }
  t.same([await on.starts(files), await on.starts(php)], before, 'files of nginx wake nobody');
  for (const domain of [node, tcp]) {
    const part = await http(domain, { path: '/file', headers: { range: 'bytes=1000-1999' } });
    t.equal(part.status, 206, `${domain}: the program's own parts pass`);
    t.equal(part.length, 1000, domain);
    t.equal(part.headers['content-range'], `bytes 1000-1999/${MB}`, domain);
  }
});

t.test('the URI arrives byte for byte', async (t) => {
  const uris = [
    '/a%2Fb/c%20d/%C3%A4?x=1%2F2&y=%20+%26',
    '//double//slashes/',
    '/a/../b/./c',
    '/a/%2e%2e/%2E',
    '/;,:@&=+$!*\'()[]|{}^`"<>',
    '/%00%0d%0aX:%20y',
    '/%E4?%E4',
    '/q?',
    '/?a?b#'.replace('#', '%23'),
    `/${'long'.repeat(500)}?${'x'.repeat(2000)}`,
  ];
  for (const uri of uris) {
    const label = uri.slice(0, 40);
    for (const domain of [node, tcp]) {
      const answer = await http(domain, { path: uri });
      // nginx refuses what cannot be a path before anybody sees it.
      if (uri.includes('%00')) t.equal(answer.status, 400, `${domain} ${label}`);
      else t.equal(parse<Raw>(answer).url, uri, `${domain} ${label}`);
    }
    if (uri.includes('%00') || uri.includes('/..') || uri.includes('%2e')) continue;
    t.equal(parse<Server>(await http(php, { path: uri })).server['REQUEST_URI'], uri, `${php} ${label}`);
  }
  t.equal((await http(node, { path: '/../../etc/passwd' })).status, 400, 'nginx refuses to climb out');
  t.equal((await http(fixed, { path: '/a%20b.txt' })).text, 'hello\n', 'a file with a space in its name');
});

t.test('headers that programs rely on', async (t) => {
  const headers = {
    'X-Forwarded-For': '203.0.113.9',
    Proxy: 'http://evil.example:1',
    'X-Own': 'mine',
    X_Under: 'dropped',
  };
  for (const domain of [node, tcp]) {
    for (const host of [domain, `${domain}:8080`, domain.toUpperCase()]) {
      const { headers: seen, raw } = parse<Raw>(
        await on.client<HttpAnswer>('http.mjs', { host, path: '/raw', headers }),
      );
      const expected = host.toLowerCase();
      t.equal(seen['host'], expected, `Host ${host}`);
      t.equal(seen['x-forwarded-host'], expected, 'X-Forwarded-Host');
      t.equal(seen['x-forwarded-proto'], 'http', 'X-Forwarded-Proto');
      t.equal(seen['x-forwarded-port'], '80', 'X-Forwarded-Port');
      t.equal(seen['x-forwarded-for'], '203.0.113.9, 127.0.0.1', 'X-Forwarded-For');
      t.equal(seen['x-real-ip'], '127.0.0.1', 'X-Real-IP');
      t.equal(seen['x-own'], 'mine', 'the client’s own');
      t.notOk(
        raw.some((name) => name.toLowerCase() === 'proxy'),
        'no Proxy header',
      );
    }
  }
  const { server, http_proxy } = parse<Server>(await http(php, { headers }));
  t.notOk(http_proxy, 'HTTP_PROXY is not set in PHP');
  t.notOk(server['HTTP_PROXY'], 'nor in $_SERVER');
  t.match(server, {
    HTTP_HOST: php,
    SERVER_NAME: php,
    HTTP_X_FORWARDED_FOR: '203.0.113.9',
    REMOTE_ADDR: '127.0.0.1',
    REQUEST_SCHEME: 'http',
  });
  t.equal(server['HTTP_X_OWN'], 'mine', 'the client’s own');
});

t.test('gzip', async (t) => {
  for (const [domain, path] of [
    [node, '/text'],
    [tcp, '/text'],
    [php, '/text'],
    [fixed, '/page.txt'],
    [files, '/page.txt'],
  ] as const) {
    const packed = await http(domain, { path, headers: { 'accept-encoding': 'gzip' } });
    t.equal(packed.headers['content-encoding'], 'gzip', `${domain} packs`);
    t.match(packed.headers['vary'], /accept-encoding/i, `${domain} says that it varies`);
    t.ok(packed.length < 10_000, `${domain} ${packed.length} bytes`);
    t.equal((await http(domain, { path })).headers['content-encoding'], undefined, `${domain} not for everybody`);
  }
});

t.test('php: files, PATH_INFO and closed doors', async (t) => {
  await asleep(php);
  const before = await on.starts(php);
  t.equal(
    (await http(php, { path: '/page.txt' })).length,
    (await http(fixed, { path: '/page.txt' })).length,
    'a static file',
  );
  for (const [path, status] of [
    ['/.env', 404],
    ['/.git/config', 404],
    ['/uploads/x.php', 403],
    ['/uploads/x.php/more', 403],
    ['/uploads/x.PHP', 403],
    ['/nothing.php', 404],
    ['/page.txt/x.php', 404],
    ['/.well-known/acme/token', 200],
  ] as const)
    t.equal((await http(php, { path })).status, status, `${path} is ${status}`);
  t.equal(await on.starts(php), before, 'all of that woke nobody');
  t.ok(await on.isAsleep(php), 'it sleeps');
  const info = parse<Server>(await http(php, { path: '/info.php/a/b%20c?q=1' })).server;
  t.match(info, {
    PATH_INFO: '/a/b c',
    SCRIPT_NAME: '/info.php',
    REQUEST_URI: '/info.php/a/b%20c?q=1',
    QUERY_STRING: 'q=1',
  });
  t.equal(info['SCRIPT_FILENAME'], '/var/www/html/info.php');
  const nice = parse<Server>(await http(php, { path: '/nice/address?q=2' })).server;
  t.match(
    nice,
    { SCRIPT_NAME: '/index.php', REQUEST_URI: '/nice/address?q=2', QUERY_STRING: 'q=2' },
    'the front controller',
  );
  t.equal(
    (await http(files, { path: '/.env' })).text.includes('SECRET'),
    false,
    'hidden files of a node site are the program’s',
  );
  t.equal((await http(fixed, { path: '/.env' })).status, 404, 'hidden files of a static site');
});

t.test('php: a program that was broken into publishes nothing of the host by links', async (t) => {
  await sh(
    `cd /srv/proto; chown 33:33 php php/page.txt; mkdir -p sibling; echo 'password of a sibling' >sibling/config.txt; chown -R 33:33 sibling`,
  );
  const planted = [
    ['passwd.txt', '/etc/passwd'],
    ['host', '/etc'],
    ['sibling.txt', '/srv/proto/sibling/config.txt'],
    ['relative.txt', '../sibling/config.txt'],
    ['dangling.txt', 'nowhere'],
    ['own.txt', 'page.txt'],
  ] as const;
  for (const [name, to] of planted) {
    const answer = await http(php, { path: `/plant?name=${name}&to=${encodeURIComponent(to)}` });
    t.match(parse<{ done: boolean }>(answer), { done: true }, `${name} -> ${to}`);
  }
  const asked = [
    '/passwd.txt',
    '/host/passwd',
    '/host/hostname',
    '/sibling.txt',
    '/relative.txt',
    '/dangling.txt',
    '/own.txt',
  ];
  const page = await sh('cat /srv/proto/php/page.txt');
  /** What of the host a visitor gets to see, by path. */
  const shown = async (status: number): Promise<string[]> => {
    const seen: string[] = [];
    for (const path of asked) {
      const answer = await http(php, { path });
      t.equal(answer.status, status, `${path} is ${status}`);
      // Where nginx finds no file the program answers; it is not asked what it can read itself.
      if (!answer.text.startsWith('{') && status === 200) seen.push(path);
    }
    return seen;
  };
  t.strictSame(await shown(200), [], 'awake');
  await asleep(php);
  t.equal((await http(php, { path: '/page.txt' })).text.trim(), page, 'a plain file while it sleeps');
  t.ok(await on.isAsleep(php), 'and it goes on sleeping');
  t.strictSame(await shown(200), [], 'asleep: the first of them wakes it');
  await sh(`service ${php} stop`);
  t.strictSame(await shown(503), [], 'closed');
  t.equal((await http(php, { path: '/page.txt' })).status, 503, 'closed for plain files as well');
  await sh(`service ${php} start`);
  t.equal((await http(php, { path: '/page.txt' })).status, 200, 'open again');
  const container = (): Promise<string> => sh(`docker inspect --format '{{.Id}}' ${php}`);
  const before = await container();
  const policy = async (value: string): Promise<void> => {
    await on.putSite(php, `${fpm('/srv/proto/php')}max_body_size = 400m\nindex = index.php\n${value}`);
    t.equal((await on.apply()).code, 0, `${value.trim()} is applied`);
  };
  await policy('symlinks = owner\n');
  t.strictSame(await shown(200), ['/sibling.txt', '/relative.txt', '/own.txt'], 'owner: what has the same owner');
  await policy('symlinks = yes\n');
  const all = ['/passwd.txt', '/host/passwd', '/host/hostname', '/sibling.txt', '/relative.txt', '/own.txt'];
  t.strictSame(await shown(200), all, 'yes: whatever nginx may read');
  await policy('');
  t.strictSame(await shown(200), [], 'and none again');
  t.equal(await container(), before, 'the container was not made anew for that');
  t.match(
    await sh(`appfleet doctor ${php} --json`),
    /nginx follows none \(symlinks = no\), of these in \/srv\/proto\/php: /,
  );
});

t.test('what editors and backups leave behind is not sent', async (t) => {
  const left = ['wp-config.php~', 'wp-config.php.bak', 'dump.sql', 'dump.sql.gz', 'page.phtml', '.env'];
  for (const folder of ['php', 'files', 'static'])
    await sh(`cd /srv/proto/${folder}; for f in ${left.join(' ')}; do echo 'SECRET=1' >"$f"; done`);
  await asleep(php);
  const before = await on.starts(php);
  for (const name of left) {
    for (const domain of [php, fixed])
      t.equal((await http(domain, { path: `/${name}` })).status, 404, `${domain}/${name}`);
    t.notMatch((await http(files, { path: `/${name}` })).text, /SECRET/, `${files}/${name} is for the program`);
  }
  t.equal(await on.starts(php), before, 'none of that woke it');
  await on.host.write(`/etc/appfleet/vhost.d/${fixed}.conf`, 'location = /dump.sql { }\n');
  t.equal((await on.apply()).code, 0);
  t.match(await http(fixed, { path: '/dump.sql' }), { status: 200, text: /SECRET/ }, 'a snippet permits one');
  t.equal((await http(fixed, { path: '/dump.sql.gz' })).status, 404, 'and only that');
  await sh(`rm /etc/appfleet/vhost.d/${fixed}.conf`);
  t.equal((await on.apply()).code, 0);
});

t.test('names, passwords, headers and the closed door', async (t) => {
  const apex = 'door.proto.test';
  const authorization = `Basic ${Buffer.from('admin:secret').toString('base64')}`;
  await asleep(door);
  const before = await on.starts(door);
  const away = await http(door, { path: '/a%2Fb?c=1' });
  t.equal(away.status, 301, 'www goes to the apex');
  t.equal(away.headers['location'], 'http://door.proto.test/a%2Fb?c=1', 'with the whole URI');
  const port = await on.client<HttpAnswer>('http.mjs', { host: `${door}:8080` });
  t.equal(port.headers['location'], 'http://door.proto.test:8080/', 'and the port');
  const stranger = await http(apex);
  t.equal(stranger.status, 401, 'a stranger is asked for a password');
  t.match(stranger.headers['www-authenticate'], /^Basic realm="www\.door\.proto\.test"/);
  t.equal(
    (await http(apex, { headers: { authorization: `Basic ${Buffer.from('admin:wrong').toString('base64')}` } })).status,
    401,
  );
  t.equal(await on.starts(door), before, 'none of that woke it');
  const friend = await http(apex, { path: '/raw', headers: { authorization } });
  t.equal(friend.status, 200, 'the password opens');
  t.match(friend.headers, { 'x-test': 'one; two', 'content-security-policy': "default-src 'self'" }, 'own headers');
  t.equal(stranger.headers['x-test'], 'one; two', 'own headers on nginx’s answers');
  t.equal((await http('unknown.proto.test')).status, 404, 'an unknown name is nobody’s');

  await sh(`service ${door} stop`);
  const closed = await http(apex, { method: 'POST', bytes: 100, headers: { authorization } });
  t.equal(closed.status, 503, 'stopped');
  t.match(closed.text, /Back soon/, 'the maintenance page');
  t.ok(Number(closed.headers['retry-after']) > 0, 'Retry-After');
  t.equal(closed.headers['x-test'], 'one; two', 'own headers here as well');
  await sh(`service ${door} start`);
  t.equal((await http(apex, { headers: { authorization } })).status, 200, 'started');
  await sh(`service ${node} stop`);
  const plain = await http(node);
  t.equal(plain.status, 503);
  t.match(plain.text, /Not available right now/, 'the plain page');
  t.ok(Number(plain.headers['retry-after']) > 0);
  await sh(`service ${node} start`);
  t.equal((await http(node)).status, 200);
});

t.test('an answer that takes 90 s is not cut', async (t) => {
  for (const [index, domain] of Object.values(slow).entries()) {
    const answer = await late[index];
    t.match(answer, { status: 200, text: 'late\n' }, `${domain} (${answer?.ms} ms)`);
    t.ok((answer?.ms ?? 0) >= 90_000, `${domain} took its time`);
    await on.asleep(domain);
    t.equal(await on.starts(domain), 1, `${domain} was never restarted`);
  }
});
