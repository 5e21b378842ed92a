/*
 * Who is served what over HTTP and HTTPS, by the real nginx before programs that only tell what reached them. Runs inside a test
 * host as vhost.test.ts does.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import {
  createServer as createHttp,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as askHttp,
} from 'node:http';
import { request as askHttps } from 'node:https';
import { createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { createX509 } from '../../../agent/adapters/x509.ts';
import type { NginxFacts, Version } from '../../../agent/core/listen.ts';
import { paths, runName } from '../../../agent/core/names.ts';
import { defaultSettings } from '../../../agent/core/settings.ts';
import { parseSite } from '../../../agent/core/site.ts';
import { renderShared, renderVhost } from '../../../agent/core/vhost.ts';
import { createFastcgi } from './fastcgi.ts';
import { until } from './fixture.ts';

const httpPort = 18293;
const httpsPort = 18294;
const settings = { ...defaultSettings, httpPort, httpsPort };
const folder = mkdtempSync('/tmp/appfleet-tls-');
const templateFolder = process.env.VHOST_TEMPLATES ?? '/usr/lib/appfleet/vhost-templates';
const templates = Object.fromEntries(
  readdirSync(templateFolder).map((name) => [name, readFileSync(`${templateFolder}/${name}`, 'utf8')]),
);
const program = process.env.NGINX_PROGRAM ?? 'nginx';
const servers: Server[] = [];
let nginx: ChildProcess | undefined;
const thumbprint = 'Thumb-print_'.repeat(4).slice(0, 43);
const challenge = '/.well-known/acme-challenge/to-ken_1';

/** Site files; `new` has only the placeholder, the others a certificate. */
const sites: Record<string, string> = {
  'redirect.example':
    'runtime = static\nroot = /srv\naliases = www.redirect.example\nredirect = www-to-apex\nhsts = 1d',
  'both.example':
    'runtime = node\nimage = node\nhttps = both\nhsts = 2h\naliases = www.both.example\nredirect = apex-to-www',
  'only.example': 'runtime = static\nroot = /srv\nhttps = only',
  'php.example': 'runtime = php-fpm\nimage = php\nroot = /srv\nhttps = both',
  'off.example': 'runtime = static\nroot = /srv\ntls = off',
  'new.example': 'runtime = static\nroot = /srv\nhsts = 1d\nbasic_auth = /etc/users',
  'snippet.example': 'runtime = static\nroot = /srv\nhttps = both\nmaintenance_page = /srv/closed.html',
  'files.example': 'runtime = static\nroot = /srv\ntls = files\ncertificate = /etc/c\ncertificate_key = /etc/k',
};

const place = (text: string): string =>
  text
    .replaceAll(paths.run, `${folder}/run`)
    .replaceAll(paths.vhosts, `${folder}/vhosts`)
    .replaceAll('/srv', `${folder}/srv`)
    .replaceAll('/etc/users', `${folder}/users`);

const listen = (server: Server, path: string): Promise<void> => {
  servers.push(server);
  return new Promise((done) => server.listen(path, done));
};

/** Opens a site; its program is behind a socket of the folder. */
const open = async (name: string, behind: string): Promise<void> => {
  const at = `${folder}/run/${runName(name)}`;
  writeFileSync(`${at}/open`, '');
  symlinkSync(`${folder}/run/${behind}`, `${at}/http.sock`);
  await listen(createServer(), `${at}/wake.sock`);
  chmodSync(`${at}/wake.sock`, 0o760);
};

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
  /** Name in the certificate; empty over HTTP. */
  shown: string;
}

const ask = (url: string, typed?: string): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { protocol, hostname, pathname, search } = new URL(url);
    const secure = protocol === 'https:';
    const options = {
      host: '127.0.0.1',
      port: secure ? httpsPort : httpPort,
      path: pathname + search,
      headers: { host: typed ?? hostname },
      agent: false as const,
    };
    const took = (answer: IncomingMessage): void => {
      let body = '';
      const shown = secure ? ((answer.socket as TLSSocket).getPeerCertificate().subjectaltname ?? '') : '';
      answer.setEncoding('utf8').on('data', (part) => (body += String(part)));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body, shown }));
    };
    const request = secure
      ? askHttps({ ...options, servername: hostname, rejectUnauthorized: false }, took)
      : askHttp(options, took);
    request.on('error', reject).end();
  });

/** A handshake: its connection, or why there was none. */
const shake = (options: ConnectionOptions): Promise<{ socket: TLSSocket | null; why: string }> =>
  new Promise((resolve) => {
    const all = { host: '127.0.0.1', port: httpsPort, rejectUnauthorized: false, ...options };
    const socket = connect(all, () => resolve({ socket, why: '' }));
    socket.on('error', (error: Error) => resolve({ socket: null, why: error.message }));
  });

const readVersion = (): Version => {
  const said = execFileSync('sh', ['-c', `${program} -v 2>&1`], { encoding: 'utf8' });
  const [, major, minor, patch] = /nginx\/(\d+)\.(\d+)\.(\d+)/.exec(said) ?? [];
  return [Number(major), Number(minor), Number(patch)];
};

before(async () => {
  for (const each of ['vhosts', 'srv', 'temp', 'pairs', 'run']) mkdirSync(`${folder}/${each}`);
  writeFileSync(`${folder}/srv/index.html`, 'HTML');
  writeFileSync(`${folder}/srv/index.php`, '');
  writeFileSync(`${folder}/srv/closed.html`, 'Closed');
  writeFileSync(`${folder}/users`, 'u:{PLAIN}p\n');
  writeFileSync(`${folder}/snippet`, 'return 403;\n');
  const facts: NginxFacts = { version: readVersion(), ipv6: false, configured: new Set(['gzip']) };
  const x509 = createX509();
  for (const [name, text] of Object.entries(sites)) {
    const parsed = parseSite({ path: `${paths.sites}/${name}.ini`, text: `[site]\n${text}\n` });
    assert.ok('spec' in parsed, JSON.stringify(parsed));
    mkdirSync(`${folder}/run/${runName(name)}`);
    const real = name !== 'new.example';
    const { chainPem, keyPem } = await x509.placeholder([real ? name : 'placeholder.invalid'], Date.now() / 1000);
    const pair = { chain: `${folder}/pairs/${name}.pem`, key: `${folder}/pairs/${name}.key`, real };
    writeFileSync(pair.chain, chainPem);
    writeFileSync(pair.key, keyPem);
    const include = { server: name === 'snippet.example' ? `${folder}/snippet` : null, location: null };
    const vhost = renderVhost(parsed.spec, facts, include, settings, templates, pair);
    writeFileSync(`${folder}/vhosts/${name}.conf`, place(vhost));
  }
  writeFileSync(`${folder}/shared.conf`, place(renderShared(settings, facts, templates, { tls: true, thumbprint })));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'scgi', 'uwsgi'];
  // What Debian's nginx.conf says of TLS must not matter.
  const main = 'ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;\nssl_prefer_server_ciphers on;\n';
  writeFileSync(
    `${folder}/nginx.conf`,
    `daemon off;\nuser root;\npid ${folder}/pid;\nerror_log ${folder}/error.log;\nevents { }\nhttp {\naccess_log off;\ngzip on;\n${main}` +
      temporary.map((name) => `${name}_temp_path ${folder}/temp/${name};\n`).join('') +
      `include ${folder}/shared.conf;\n}\n`,
  );
  await listen(createFastcgi(), `${folder}/run/fastcgi.sock`);
  const told = createHttp((request, answer) => answer.end(JSON.stringify({ url: request.url, ...request.headers })));
  await listen(told, `${folder}/run/app.sock`);
  nginx = spawn(program, ['-c', `${folder}/nginx.conf`], { stdio: 'inherit' });
  await until('nginx serves', () =>
    ask('http://none/').then(
      () => true,
      () => false,
    ),
  );
});

after(() => {
  nginx?.kill('SIGQUIT');
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Over HTTP; sites that order certificates are asked, whatever they do otherwise. */
const answers = ['redirect', 'www.redirect', 'both', 'www.both', 'php', 'new', 'snippet', 'only', 'unknown'];
const checkChallenges = async (): Promise<void> => {
  for (const name of answers) {
    const { status, body } = await ask(`http://${name}.example${challenge}?x=1`);
    assert.deepEqual([status, body], [200, `to-ken_1.${thumbprint}`], name);
  }
  for (const path of ['', 'a/b', 'a.b', 'a%20b', '../x'])
    assert.doesNotMatch((await ask(`http://both.example/.well-known/acme-challenge/${path}`)).body, /Thumb/, path);
};

test('a CA gets its answer from sites that are closed', async () => {
  await checkChallenges();
  assert.equal((await ask('http://both.example/')).status, 301);
  assert.equal((await ask('http://www.both.example/')).status, 503);
  assert.equal((await ask('https://redirect.example/')).status, 503);
  for (const name of ['both', 'redirect'])
    assert.equal((await ask(`https://${name}.example${challenge}`)).status, 200, 'also who was redirected by others');
});

test('a CA gets its answer from sites that are open, have a password, or send everybody away', async () => {
  for (const name of Object.keys(sites)) await open(name, name === 'php.example' ? 'fastcgi.sock' : 'app.sock');
  await checkChallenges();
  assert.equal((await ask('http://new.example/')).status, 401);
  assert.equal((await ask('http://snippet.example/')).status, 403);
  for (const name of ['off', 'files'])
    assert.notEqual((await ask(`http://${name}.example${challenge}`)).status, 200, 'others may answer for it');
});

test('redirect: from HTTP to HTTPS, www included, in one hop', async () => {
  const sent = async (url: string, typed?: string) => {
    const { status, headers } = await ask(url, typed);
    return [status, headers.location];
  };
  assert.deepEqual(await sent('http://redirect.example/a%2Fb%3F?x=%2F'), [
    301,
    'https://redirect.example/a%2Fb%3F?x=%2F',
  ]);
  assert.deepEqual(await sent('http://www.redirect.example/a?b'), [301, 'https://redirect.example/a?b']);
  assert.deepEqual(await sent('https://www.redirect.example/a?b'), [301, 'https://redirect.example/a?b']);
  const typed = `redirect.example:${httpPort}`;
  assert.deepEqual(await sent('http://redirect.example/a', typed), [301, `https://redirect.example:${httpsPort}/a`]);
  assert.deepEqual(await sent('http://redirect.example/a', 'redirect.example:80'), [301, 'https://redirect.example/a']);
  assert.deepEqual(await sent('https://www.redirect.example/a', `www.redirect.example:${httpsPort}`), [
    301,
    `https://redirect.example:${httpsPort}/a`,
  ]);
  assert.deepEqual(await sent('http://files.example/'), [301, 'https://files.example/']);
  const { status, body, shown } = await ask('https://redirect.example/');
  assert.deepEqual([status, body, shown], [200, 'HTML', 'DNS:redirect.example']);
});

test('both, only, off, and a site without a certificate yet', async () => {
  assert.equal((await ask('http://www.both.example/')).status, 200);
  assert.equal((await ask('https://www.both.example/')).shown, 'DNS:both.example');
  assert.equal((await ask('http://both.example/')).headers.location, 'http://www.both.example/');
  assert.equal((await ask('https://both.example/')).headers.location, 'https://www.both.example/');
  assert.equal((await ask('https://only.example/')).body, 'HTML');
  assert.deepEqual(
    [(await ask('http://only.example/')).status, (await ask('http://off.example/')).body],
    [404, 'HTML'],
  );
  assert.equal((await ask('https://new.example/')).shown, 'DNS:placeholder.invalid');
  assert.equal((await ask('http://new.example/')).status, 401);
});

test('HSTS: over HTTPS alone, with a certificate alone', async () => {
  const told = async (url: string) => (await ask(url)).headers['strict-transport-security'];
  assert.equal(await told('https://redirect.example/'), 'max-age=86400');
  assert.equal(await told('https://redirect.example/none'), 'max-age=86400');
  assert.equal(await told('https://www.redirect.example/'), 'max-age=86400');
  assert.equal(await told('https://www.both.example/'), 'max-age=7200');
  for (const url of [
    'http://redirect.example/',
    'http://www.both.example/',
    'https://new.example/',
    'https://only.example/',
  ])
    assert.equal(await told(url), undefined, url);
  rmSync(`${folder}/run/redirect.example/open`);
  const closed = await ask('https://redirect.example/');
  assert.deepEqual([closed.status, closed.headers['strict-transport-security']], [503, 'max-age=86400']);
});

test('programs know how the visitor came', async () => {
  const told = async (url: string) => JSON.parse((await ask(url)).body) as Record<string, string>;
  const by = async (url: string) => {
    const { 'x-forwarded-proto': proto, 'x-forwarded-port': port } = await told(url);
    return [proto, port];
  };
  assert.deepEqual(await by('https://www.both.example/'), ['https', String(httpsPort)]);
  assert.deepEqual(await by('http://www.both.example/'), ['http', String(httpPort)]);
  assert.equal((await told('https://php.example/')).HTTPS, 'on');
  assert.equal((await told('http://php.example/')).HTTPS, undefined);
});

test('TLS: no name without a site, no old protocol, HTTP/2, no tickets', async () => {
  for (const servername of ['unknown.example', 'off.example', ''])
    assert.match((await shake({ servername })).why, /unrecognized name|alert/i, servername);
  assert.match(
    (await shake({ servername: 'redirect.example', maxVersion: 'TLSv1.1', minVersion: 'TLSv1' })).why,
    /alert|protocol|wrong version/i,
  );
  for (const [name, version] of [
    ['redirect.example', 'TLSv1.2'],
    ['only.example', 'TLSv1.3'],
  ] as const) {
    const { socket, why } = await shake({ servername: name, maxVersion: version, ALPNProtocols: ['h2', 'http/1.1'] });
    assert.ok(socket !== null, why);
    assert.deepEqual([socket.getProtocol(), socket.alpnProtocol], [version, 'h2']);
    assert.equal(version === 'TLSv1.2' ? socket.getTLSTicket() : undefined, undefined);
    socket.destroy();
  }
  const other = await ask('https://redirect.example/', 'unknown.example');
  assert.equal(other.status, 404);
  const weak = await shake({ servername: 'redirect.example', maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' });
  assert.equal(weak.socket, null);
});
