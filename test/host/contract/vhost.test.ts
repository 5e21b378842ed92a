/*
 * What the vhosts do with requests, by the real nginx before programs that only tell what reached them. Runs inside a test host as
 * root: bundled into one file, started with `node`. NGINX_PROGRAM and VHOST_TEMPLATES name other places.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
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
import { createServer as createHttp } from 'node:http';
import { connect, createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import type { NginxFacts } from '../../../agent/core/listen.ts';
import { paths, runName } from '../../../agent/core/names.ts';
import { parseSettings } from '../../../agent/core/settings.ts';
import { parseSite } from '../../../agent/core/site.ts';
import { renderShared, renderVhost } from '../../../agent/core/vhost.ts';
import { createFastcgi } from './fastcgi.ts';
import { until } from './fixture.ts';

const port = 18193;
const folder = mkdtempSync('/tmp/appfleet-vhost-');
const templateFolder = process.env.VHOST_TEMPLATES ?? '/usr/lib/appfleet/vhost-templates';
const templates = Object.fromEntries(
  readdirSync(templateFolder).map((name) => [name, readFileSync(`${templateFolder}/${name}`, 'utf8')]),
);
// The oldest words that both versions know.
const facts: NginxFacts = { version: [1, 22, 1], ipv6: false, configured: new Set(['gzip']) };
const servers: Server[] = [];
let nginx: ChildProcess | undefined;

const sites: Record<string, string> = {
  'php.example': `runtime = php-fpm\nimage = php\naliases = www.php.example\nredirect = www-to-apex\nroot = /srv/files\n[headers]\nX-Own = yes`,
  'empty.example': 'runtime = php-fpm\nimage = php\nroot = /srv/empty',
  'app.example': 'runtime = node\nimage = node\ncommand = node x\nmaintenance_page = /srv/files/back soon.html',
  'both.example': 'runtime = node\nimage = node\ncommand = node x\nroot = /srv/files\nbasic_auth = /etc/users',
  'static.example': 'runtime = static\nroot = /srv/files',
};

const place = (text: string): string =>
  text
    .replaceAll(paths.run, `${folder}/run`)
    .replaceAll(paths.vhosts, `${folder}/vhosts`)
    .replaceAll('/srv/', `${folder}/srv/`)
    .replaceAll('/etc/users', `${folder}/users`);

const files: Record<string, string> = {
  'index.php': '',
  'info.php': '',
  'index.html': 'HTML',
  'a b.css': 'css',
  'x.jpg': 'JPG',
  '.env': 'secret',
  '.git/config': 'secret',
  '.well-known/x.txt': 'well known',
  'wp-content/uploads/x.php': 'evil',
  'wp-admin/index.php': '',
  'dir/x': '',
  'back soon.html': '<h1>Back soon</h1>',
};

const listen = (server: Server, path: string): Promise<void> => {
  servers.push(server);
  return new Promise((done) => server.listen(path, done));
};

const open = async (name: string, program: string): Promise<void> => {
  const at = `${folder}/run/${runName(name)}`;
  symlinkSync(`${folder}/run/${program}`, `${at}/http.sock`);
  await listen(createServer(), `${at}/wake.sock`);
  chmodSync(`${at}/wake.sock`, 0o760);
};

interface Answer {
  status: number;
  head: string;
  body: string;
}

const ask = (
  host: string,
  path: string,
  more: { method?: string; headers?: string; body?: string } = {},
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.setEncoding('utf8').on('data', (part) => (text += String(part)));
    socket.on('error', reject).on('close', () => {
      const [head = '', ...body] = text.split('\r\n\r\n');
      resolve({ status: Number(head.split(' ')[1]), head, body: body.join('\r\n\r\n') });
    });
    const { method = 'GET', headers = '', body = '' } = more;
    const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`;
    socket.write(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${headers}${length}\r\n${body}`);
  });

before(async () => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(`${folder}/srv/files/${name}`.replace(/\/[^/]*$/, ''), { recursive: true });
    writeFileSync(`${folder}/srv/files/${name}`, text);
  }
  for (const each of ['vhosts', 'srv/empty', 'temp']) mkdirSync(`${folder}/${each}`, { recursive: true });
  writeFileSync(`${folder}/users`, 'u:{PLAIN}p\n');
  const read = parseSettings({ path: paths.settings, text: '' });
  assert.ok('settings' in read);
  const settings = { ...read.settings, httpPort: port };
  for (const [name, text] of Object.entries(sites)) {
    const parsed = parseSite({ path: `${paths.sites}/${name}.ini`, text: `[site]\n${text}\n` });
    assert.ok('spec' in parsed, JSON.stringify(parsed));
    mkdirSync(`${folder}/run/${runName(name)}`, { recursive: true });
    const vhost = renderVhost(parsed.spec, facts, { server: null, location: null }, settings, templates, null);
    writeFileSync(`${folder}/vhosts/${name}.conf`, place(vhost));
  }
  writeFileSync(
    `${folder}/shared.conf`,
    place(renderShared(settings, facts, templates, { tls: false, thumbprint: null })),
  );
  const temporary = ['client_body', 'proxy', 'fastcgi', 'scgi', 'uwsgi'];
  const types = 'types { text/html html; text/css css; image/jpeg jpg; text/plain txt php; }';
  writeFileSync(
    `${folder}/nginx.conf`,
    `daemon off;\nuser root;\npid ${folder}/pid;\nerror_log ${folder}/error.log;\nevents { }\nhttp {\naccess_log off;\ngzip on;\n${types}\n` +
      temporary.map((name) => `${name}_temp_path ${folder}/temp/${name};\n`).join('') +
      `include ${folder}/shared.conf;\n}\n`,
  );
  await listen(createFastcgi(), `${folder}/run/fastcgi.sock`);
  const told = createHttp((request, answer) => {
    if (request.url === '/503') answer.writeHead(503, { 'x-app': 'yes' });
    const { method, url, headers } = request;
    request.resume().on('end', () => answer.end(JSON.stringify({ method, url, ...headers })));
  });
  await listen(told, `${folder}/run/app.sock`);
  nginx = spawn(process.env.NGINX_PROGRAM ?? 'nginx', ['-c', `${folder}/nginx.conf`], { stdio: 'inherit' });
  await until('nginx serves', () =>
    ask('none', '/').then(
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

test('a closed site answers 503 to every method and path, also where its files are', async () => {
  for (const host of Object.keys(sites))
    for (const [method, path] of [
      ['GET', '/'],
      ['POST', '/x.css'],
      ['GET', '/x.jpg'],
      // What a static site never sends is not there, open or closed.
      ['GET', host === 'static.example' ? '/' : '/index.php'],
    ] as const) {
      const answer = await ask(host, path, method === 'POST' ? { method, body: 'abc' } : {});
      assert.equal(answer.status, 503, `${method} ${host}${path}`);
      assert.match(answer.head, /\r\nContent-Type: text\/html.*\r\n/);
      assert.match(answer.head, /\r\nRetry-After: 5\r\nCache-Control: no-store/);
      assert.match(answer.body, host === 'app.example' ? /Back soon/ : /Not available/);
    }
  assert.match((await ask('php.example', '/')).head, /X-Own: yes/);
  const head = await ask('static.example', '/x', { method: 'HEAD' });
  assert.equal(head.status, 503);
  assert.equal(head.body, '');
  assert.equal((await ask('app.example', '/.appfleet/unavailable')).status, 404);
});

test('a name that no site has', async () => {
  const answer = await ask('other.example', '/');
  assert.equal(answer.status, 404);
  assert.match(answer.head, /text\/plain/);
});

test('php-fpm: files by nginx, scripts by PHP, the rest by the front script', async () => {
  await open('php.example', 'fastcgi.sock');
  const script = async (path: string, more = {}) =>
    JSON.parse((await ask('php.example', path, more)).body) as Record<string, string>;
  const reached = async (path: string) => {
    const { SCRIPT_FILENAME, PATH_INFO, REQUEST_URI } = await script(path);
    return [SCRIPT_FILENAME?.replace('/var/www/html', ''), PATH_INFO, REQUEST_URI];
  };
  assert.deepEqual(await reached('/'), ['/index.php', '', '/']);
  assert.deepEqual(await reached('/2024/01/x?y=%2F'), ['/index.php', '', '/2024/01/x?y=%2F']);
  assert.deepEqual(await reached('/info.php/a/b?q'), ['/info.php', '/a/b', '/info.php/a/b?q']);
  assert.deepEqual(await reached('/wp-admin/'), ['/wp-admin/index.php', '', '/wp-admin/']);
  assert.deepEqual(await reached('/dir/'), ['/index.php', '', '/dir/']);
  assert.deepEqual(await reached('/.well-known/none'), ['/index.php', '', '/.well-known/none']);
  const sent = await script('/info.php', { method: 'POST', body: 'abc', headers: 'Proxy: evil\r\nHost2: x\r\n' });
  assert.deepEqual(
    [
      sent.REQUEST_METHOD,
      sent.CONTENT_LENGTH,
      sent.HTTP_PROXY ?? '',
      sent.DOCUMENT_ROOT,
      sent.SERVER_NAME,
      sent.REDIRECT_STATUS,
    ],
    ['POST', '3', '', '/var/www/html', 'php.example', '200'],
  );
  for (const [path, body] of [
    ['/a%20b.css', 'css'],
    ['/x.jpg', 'JPG'],
    ['/.well-known/x.txt', 'well known'],
  ] as const) {
    const answer = await ask('php.example', path);
    assert.deepEqual([answer.status, answer.body], [200, body], path);
    assert.match(answer.head, /X-Own: yes/);
  }
  for (const path of ['/none.php', '/x.jpg/evil.php', '/.git/config', '/.env', '/%2eenv', '/dir/../.env', '/info.PHP'])
    assert.equal((await ask('php.example', path)).status, 404, path);
  for (const path of ['/wp-content/uploads/x.php', '/wp-content/uploads/x.php/y', '/files/2/x.php', '/a/UPLOADS/x.PHP'])
    assert.equal((await ask('php.example', path, { method: 'POST', body: 'x' })).status, 403, path);
  assert.match((await ask('php.example', '/wp-admin')).head, /301.*\r\nLocation: \/wp-admin\/\r\n/s);
  assert.match((await ask('php.example', '/x.jpg', { headers: 'Range: bytes=0-1\r\n' })).head, /^HTTP\/1.1 206/);
});

test('php-fpm: the first request reaches an image that has yet to fill the folder', async () => {
  await open('empty.example', 'fastcgi.sock');
  for (const path of ['/', '/a/b', '/index.php'])
    assert.match((await ask('empty.example', path)).body, /"SCRIPT_FILENAME":"\/var\/www\/html\/index.php"/, path);
});

test('www sends to the apex and keeps path, query and the port that was typed', async () => {
  assert.match(
    (await ask('www.php.example:8080', '/a%20b?x=%2F')).head,
    /301.*Location: http:\/\/php.example:8080\/a%20b\?x=%2F(\r|$)/s,
  );
});

test('programs get the request byte for byte, and their own errors pass', async () => {
  await open('app.example', 'app.sock');
  const told = async (path: string, more = {}, host = 'app.example') =>
    JSON.parse((await ask(host, path, more)).body) as Record<string, string>;
  assert.equal((await told('/a%2Fb//c%20d/../e?x=%2f')).url, '/a%2Fb//c%20d/../e?x=%2f');
  assert.equal((await told('/.env')).url, '/.env');
  const headers = 'Proxy: evil\r\nX-Forwarded-For: 1.2.3.4\r\n';
  const sent = await told('/p', { method: 'POST', body: 'abcd', headers }, 'app.example:99');
  assert.deepEqual(
    [
      sent.method,
      sent.host,
      sent['x-forwarded-host'],
      sent['x-forwarded-for'],
      sent['x-forwarded-proto'],
      sent.proxy,
      sent.connection,
    ],
    ['POST', 'app.example:99', 'app.example:99', '1.2.3.4, 127.0.0.1', 'http', undefined, 'close'],
  );
  const failed = await ask('app.example', '/503');
  assert.equal(failed.status, 503);
  assert.match(failed.head, /x-app: yes/);
  assert.doesNotMatch(failed.head, /Retry-After/);
  rmSync(`${folder}/run/app.example/http.sock`);
  assert.match((await ask('app.example', '/')).head, /^HTTP\/1.1 503.*Retry-After: 5/s);
});

test('a program with a folder: plain files by nginx, all else by the program, nothing without a password', async () => {
  await open('both.example', 'app.sock');
  assert.equal((await ask('both.example', '/x.jpg')).status, 401);
  const headers = `Authorization: Basic ${Buffer.from('u:p').toString('base64')}\r\n`;
  assert.equal((await ask('both.example', '/x.jpg', { headers })).body, 'JPG');
  assert.equal((await ask('both.example', '/.well-known/x.txt', { headers })).body, 'well known');
  for (const path of ['/', '/dir', '/.env', '/x/.git/config', '/a%0A/.env', '/none%2Fx'])
    assert.match((await ask('both.example', path, { headers })).body, /"method":"GET"/, path);
  assert.match((await ask('both.example', '/x.jpg', { headers, method: 'POST', body: 'x' })).body, /"method":"POST"/);
});

test('static: files and nothing else', async () => {
  writeFileSync(`${folder}/run/static.example/open`, '');
  const status = async (path: string) => (await ask('static.example', path)).status;
  assert.equal((await ask('static.example', '/')).body, 'HTML');
  assert.deepEqual(
    [await status('/x.jpg'), await status('/none'), await status('/dir/'), await status('/.env')],
    [200, 404, 403, 404],
  );
});
