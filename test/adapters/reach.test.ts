import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, createServer as createSocketServer, isIP, type Server as SocketServer } from 'node:net';
import t, { type Test } from 'tap';
import { createReach, type ReachOptions } from '../../agent/adapters/reach.ts';
import { hostAddresses, isNobodys } from '../../agent/adapters/reach-dns.ts';
import { createX509 } from '../../agent/adapters/x509.ts';
import { startDns } from './small-dns.ts';

const dns = await startDns();
t.teardown(dns.close);
const expected = `token.${'k'.repeat(43)}`;
const path = '/.well-known/acme-challenge/token';

const listen = async <S extends SocketServer>(t: Test, server: S, host: string, port = 0): Promise<number> => {
  server.listen(port, host);
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    if ('closeAllConnections' in server) (server as unknown as Server).closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
};

/** What nginx does for every site. */
const nginx: RequestListener = (question, answer) => {
  if (question.url === path) answer.end(`${expected}\n`);
  else answer.writeHead(404).end();
};
const saying =
  (status: number, body: string, headers: Record<string, string> = {}): RequestListener =>
  (_, answer) =>
    void answer.writeHead(status, headers).end(body);

const loopback = ['127.0.0.1', '127.0.0.2', '127.0.0.3', '::1'];
const reachWith = (options: Partial<ReachOptions> = {}) =>
  createReach({ strict: false, servers: [dns.server], own: () => loopback, limitMs: 1000, ...options });
const look = (
  name: string,
  port: number,
  options: Partial<ReachOptions> = {},
  addresses: 'host' | 'any' | string[] = 'host',
) => reachWith(options).unreachable(name, { token: 'token', expected, addresses, port });

t.test('a name that leads here', async (t) => {
  const seen: IncomingMessage[] = [];
  const port = await listen(
    t,
    createServer((question, answer) => {
      seen.push(question);
      nginx(question, answer);
    }),
    '127.0.0.1',
  );
  await listen(t, createServer(nginx), '::1', port);
  dns.names.set('good.example.org', ['127.0.0.1']);
  t.equal(await look('good.example.org', port), null);
  t.match(seen[0], { method: 'GET', url: path, headers: { host: 'good.example.org' } });
  dns.names.set('both.example.org', ['127.0.0.1', '::1']);
  t.equal(await look('both.example.org', port), null);
  t.equal(await look('both.example.org', port, {}, 'any'), null);
  t.equal(await look('both.example.org', port, {}, ['127.0.0.1', '0:0::0:1']), null, 'however it is written');
});

t.test('names without DNS', async (t) => {
  const port = await listen(t, createServer(nginx), '127.0.0.1');
  const before = dns.asked();
  const strict = { strict: true };
  t.equal(await look('localhost', port, strict), 'is a name without a dot, for which no public CA issues');
  for (const ending of ['invalid', 'test', 'localhost', 'local', 'internal', 'home.arpa'])
    t.equal(await look(`a.b.${ending}`, port, strict), `ends in .${ending}, which the public DNS does not have`);
  t.match(await look('*.example.org', port), /^is a wildcard/);
  t.equal(dns.asked(), before, 'nobody was asked');
  dns.names.set('a.test', ['127.0.0.1']);
  t.equal(await look('a.test', port), null, 'a CA of its own may know them');
  t.equal(await look('mytest', port), 'does not resolve');
});

t.test('DNS', async (t) => {
  const port = await listen(t, createServer(nginx), '127.0.0.1');
  t.equal(await look('absent.example.org', port), 'does not resolve');
  dns.names.set('mail.example.org', []);
  t.equal(await look('mail.example.org', port), 'does not resolve: it has neither an A nor an AAAA record');
  dns.names.set('broken.example.org', 'servfail');
  t.match(await look('broken.example.org', port), /^cannot be resolved now: the DNS server says that it failed/);
  dns.names.set('no.example.org', 'refused');
  t.match(await look('no.example.org', port), /^cannot be resolved now: /);
  for (const reply of ['silence', 'garbage'] as const) {
    dns.names.set('odd.example.org', reply);
    const began = Date.now();
    t.match(
      await look('odd.example.org', port),
      /^cannot be resolved now: the (DNS server does not answer|answer of the DNS server makes no sense)/,
      reply,
    );
    t.ok(Date.now() - began < 15_000);
  }
  t.match(await look('a.example.org', port, { servers: ['127.0.0.1:1'] }), /^cannot be resolved now: /);
  dns.names.set('far.example.org', ['192.0.2.1', '127.0.0.1', '2001:db8::1']);
  t.equal(
    await look('far.example.org', port),
    'resolves to 192.0.2.1 and 2001:db8::1, which are not addresses of this host (set acme_addresses when a load balancer is in front)',
  );
  dns.names.set('stale.example.org', ['127.0.0.1', '2001:db8::1']);
  t.equal(
    await look('stale.example.org', port),
    'resolves to 2001:db8::1, which is not an address of this host (set acme_addresses when a load balancer is in front)',
  );
  t.equal(
    await look('stale.example.org', port, {}, ['127.0.0.1']),
    'resolves to 2001:db8::1, which is not in acme_addresses',
  );
  t.equal(
    await look('stale.example.org', port, { strict: true }),
    'resolves to 127.0.0.1, where only the machine itself can be reached',
  );
  t.ok(hostAddresses().includes('127.0.0.1'));
  dns.names.set('good.example.org', ['127.0.0.1']);
  t.equal(await look('good.example.org', port, { own: undefined }), null, "by the host's own interfaces");
});

t.test('every address is asked', async (t) => {
  const port = await listen(t, createServer(nginx), '127.0.0.1');
  dns.names.set('two.example.org', ['127.0.0.1', '127.0.0.2']);
  t.equal(await look('two.example.org', port), `port ${port} of 127.0.0.2 does not answer: connection refused`);
  dns.names.set('both.example.org', ['127.0.0.1', '::1']);
  t.equal(
    await look('both.example.org', port),
    `port ${port} of ::1 does not answer: connection refused (is an AAAA record stale?)`,
  );
  const other = createServer(saying(200, 'It works!'));
  await listen(t, other, '::1', port);
  t.equal(
    await look('both.example.org', port),
    `something else answers on port ${port} of ::1 (is an AAAA record stale?)`,
  );
  await listen(t, createServer(saying(403, '')), '127.0.0.2', port);
  await listen(t, createServer(saying(200, `${expected}x`)), '127.0.0.3', port);
  dns.names.set('many.example.org', ['127.0.0.2', '127.0.0.3']);
  t.equal(
    await look('many.example.org', port),
    `something else answers on port ${port} of 127.0.0.2 (status 403); something else answers on port ${port} of 127.0.0.3 (with another text)`,
  );
});

t.test('servers that are none', async (t) => {
  const cases: [string, (server: SocketServer) => void, RegExp][] = [
    ['says nothing', () => undefined, /does not answer: no answer within 0\.3 s$/],
    [
      'hangs up',
      (server) => server.on('connection', (socket) => void socket.resetAndDestroy()),
      /does not answer: the connection was cut$/,
    ],
    ['hangs up politely', (server) => server.on('connection', (socket) => void socket.end()), /does not answer: /],
    [
      'speaks something else',
      (server) => server.on('connection', (socket) => void socket.end('220 mail ESMTP\r\n')),
      /^something else answers .* \(what answers is no web server\)$/,
    ],
    [
      'never ends',
      (server) =>
        server.on('connection', (socket) => {
          socket.on('error', () => undefined).write('HTTP/1.1 200 OK\r\n\r\n');
          const more = setInterval(() => socket.write('x'.repeat(100_000)), 1);
          socket.once('close', () => clearInterval(more));
        }),
      /with another text/,
    ],
    [
      'drips',
      (server) =>
        server.on('connection', (socket) => {
          socket.on('error', () => undefined).write('HTTP/1.1 200 OK\r\n\r\n');
          const more = setInterval(() => socket.write('t'), 20);
          socket.once('close', () => clearInterval(more));
        }),
      /no answer within 0\.3 s/,
    ],
    [
      'breaks off',
      (server) =>
        server.on('connection', (socket) => void socket.end('HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\ntok')),
      /does not answer: /,
    ],
  ];
  dns.names.set('odd.example.org', ['127.0.0.1']);
  for (const [what, dress, message] of cases) {
    const server = createSocketServer((socket) => void socket.on('error', () => undefined));
    dress(server);
    const port = await listen(t, server, '127.0.0.1');
    const began = Date.now();
    t.match(await look('odd.example.org', port, { limitMs: 300 }), message, what);
    t.ok(Date.now() - began < 3000, what);
  }
});

t.test('redirects', async (t) => {
  const pair = await createX509().placeholder(['placeholder.invalid'], Date.now() / 1000);
  const secure = createSecureServer({ key: pair.keyPem, cert: pair.chainPem }, (question, answer) => {
    const servername = (question.socket as unknown as { servername: string | false }).servername;
    if (question.headers.host?.split(':')[0] !== servername) answer.writeHead(421).end();
    else nginx(question, answer);
  });
  const httpsPort = await listen(t, secure, '127.0.0.1');
  let answers: RequestListener = nginx;
  const port = await listen(
    t,
    createServer((question, answer) => answers(question, answer)),
    '127.0.0.1',
  );
  for (const name of ['r.example.org', 'www.r.example.org']) dns.names.set(name, ['127.0.0.1']);
  const to = async (location: string, status = 301): Promise<string | null> => {
    answers = saying(status, '', { location });
    return look('r.example.org', port, { httpsPort });
  };
  t.equal(await to(`https://r.example.org${path}`), null, 'any certificate will do');
  t.equal(await to(`https://r.example.org:${httpsPort}${path}`, 308), null);
  t.equal(await to(`https://www.r.example.org${path}`, 302), null, "another name too, as with Let's Encrypt");
  answers = (question, answer) =>
    question.url === path ? void answer.writeHead(307, { location: '/other' }).end() : void answer.end(expected);
  t.equal(await look('r.example.org', port), null, 'a path alone');
  const says = (words: string): string => `something else answers on port ${port} of 127.0.0.1 (${words})`;
  t.equal(await to(path), says('it redirects more than 10 times'));
  for (const location of [
    'ftp://r.example.org/',
    'http://127.0.0.1/',
    'http://[::1]/',
    'http://2130706433/',
    'https://r.example.org:8443/',
    'http://a:b@r.example.org/',
    'http://',
  ])
    t.equal(await to(location), says(`it redirects to \`${location}\`, which a CA does not follow`), location);
  t.equal(await to('https://gone.example.org/'), says('it redirects to `gone.example.org`, which a CA would not find'));
  t.equal(await to(`https://r.example.org/elsewhere`), says('status 404'));
  answers = saying(301, '');
  t.equal(await look('r.example.org', port), says('status 301'));
});

t.test('a redirect does not lead to services of the machine itself', async (t) => {
  const address = hostAddresses().find((one) => isIP(one) === 4 && !isNobodys(one));
  if (address === undefined) return t.pass('this machine has no address but loopback');
  const asked: string[] = [];
  const port = await listen(
    t,
    createServer((question, answer) => {
      asked.push(String(question.headers.host));
      saying(301, '', { location: `http://inside.example.org:${port}${path}` })(question, answer);
    }),
    '0.0.0.0',
  );
  dns.names.set('front.example.org', [address]);
  dns.names.set('inside.example.org', ['127.0.0.1']);
  t.equal(
    await look('front.example.org', port, { strict: true, own: undefined }),
    `something else answers on port ${port} of ${address} (it redirects to \`inside.example.org\`, which a CA would not find)`,
  );
  t.same(asked, ['front.example.org']);
});

t.test('many at once, each in its own time', async (t) => {
  const server = createSocketServer((socket) => void socket.on('error', () => undefined));
  const port = await listen(t, server, '127.0.0.1');
  await listen(t, createServer(nginx), '127.0.0.2', port);
  const reach = reachWith({ limitMs: 300 });
  const probe = { token: 'token', expected, addresses: 'host' as const, port };
  for (let at = 0; at < 40; at += 1) dns.names.set(`n${at}.example.org`, [at % 2 === 0 ? '127.0.0.1' : '127.0.0.2']);
  const began = Date.now();
  const results = await Promise.all(
    Array.from({ length: 40 }, (_, at) => reach.unreachable(`n${at}.example.org`, probe)),
  );
  t.equal(results.filter((one) => one === null).length, 20);
  t.equal(results.filter((one) => one?.includes('no answer within')).length, 20);
  t.ok(Date.now() - began < 5000);
});
