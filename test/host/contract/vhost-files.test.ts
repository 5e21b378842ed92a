/*
 * Which files the vhosts let nginx send, by the real nginx: where symbolic links lead, and what editors and backups leave behind.
 * Runs inside a test host as root: bundled into one file, started with `node`.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer as createHttp, request } from 'node:http';
import { createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import type { NginxFacts } from '../../../agent/core/listen.ts';
import { openMark, paths, runName } from '../../../agent/core/names.ts';
import { parseSettings } from '../../../agent/core/settings.ts';
import { parseSite } from '../../../agent/core/site.ts';
import { renderShared, renderVhost } from '../../../agent/core/vhost.ts';
import { createFastcgi } from './fastcgi.ts';
import { until } from './fixture.ts';

const port = 18195;
const folder = mkdtempSync('/tmp/appfleet-files-');
const templateFolder = process.env.VHOST_TEMPLATES ?? '/usr/lib/appfleet/vhost-templates';
const templates = Object.fromEntries(
  readdirSync(templateFolder).map((name) => [name, readFileSync(`${templateFolder}/${name}`, 'utf8')]),
);
const facts: NginxFacts = { version: [1, 22, 1], ipv6: false, configured: new Set(['gzip']) };
const servers: Server[] = [];
let nginx: ChildProcess | undefined;

const php = 'runtime = php-fpm\nimage = php';
const node = 'runtime = node\nimage = node\ncommand = node x';
const sites: Record<string, string> = {
  'php.example': `${php}\nroot = /srv/site`,
  'php-owner.example': `${php}\nroot = /srv/site\nsymlinks = owner`,
  'php-yes.example': `${php}\nroot = /srv/site\nsymlinks = yes`,
  'node.example': `${node}\nroot = /srv/site`,
  'node-owner.example': `${node}\nroot = /srv/site\nsymlinks = owner`,
  'static.example': 'runtime = static\nroot = /srv/site',
  'static-no.example': 'runtime = static\nroot = /srv/site\nsymlinks = no',
  'static-yes.example': 'runtime = static\nroot = /srv/site\nsymlinks = yes',
  // The way of many deploys: root itself, and a folder above it, are links of somebody else.
  'writable.example': `${php}\nroot = /srv/an app/public\nvolumes = /srv/an app:/app, /srv/an app/public:/var/www/html/x`,
  'deployed.example': `${php}\nroot = /srv/current/public`,
};
const snippets: Record<string, string> = {
  'php.example':
    'location = /wanted.sql { }\nlocation ~* \\.css$ { expires 1h; }\nlocation /shelf/ { alias /srv/shelf/; }\n',
};

const place = (text: string): string =>
  text
    .replaceAll(paths.run, `${folder}/run`)
    .replaceAll(paths.vhosts, `${folder}/vhosts`)
    .replaceAll('/srv/', `${folder}/srv/`);

/** User id of the programs in containers, which is also nginx's in Debian; root owns the rest of the host. */
const program = 33;
const put = (path: string, text: string, owner = program): void => {
  const at = `${folder}/srv/${path}`;
  mkdirSync(at.replace(/\/[^/]*$/, ''), { recursive: true });
  writeFileSync(at, text);
  lchownSync(at, owner, owner);
};
const link = (path: string, target: string, owner = program): void => {
  const at = `${folder}/srv/${path}`;
  mkdirSync(at.replace(/\/[^/]*$/, ''), { recursive: true });
  symlinkSync(target, at);
  lchownSync(at, owner, owner);
};
const own = (path: string): void => lchownSync(`${folder}/srv/${path}`, program, program);

const ask = (host: string, path: string, method = 'GET'): Promise<{ status: number; body: string }> =>
  new Promise((resolve, reject) => {
    const asking = request({ port, host: '127.0.0.1', path, method, headers: { host }, agent: false }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (part) => (body += String(part)));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
    });
    asking.on('error', reject).end();
  });

/** What a visitor gets: a file's words, the program's answer, or only a status. */
const got = async (host: string, path: string): Promise<string> => {
  const { status, body } = await ask(host, path);
  if (status !== 200) return String(status);
  return body.startsWith('{') ? 'program' : body;
};

/** Opens a site as systemd or units/launch would. */
const open = (name: string): Promise<void> => {
  const at = `${folder}/run/${runName(name)}`;
  if (sites[name]?.startsWith('runtime = static')) {
    writeFileSync(place(openMark(name)), '');
    return Promise.resolve();
  }
  symlinkSync(`${folder}/run/${sites[name]?.startsWith(php) ? 'fastcgi' : 'app'}.sock`, `${at}/http.sock`);
  const server = createServer();
  servers.push(server);
  return new Promise((done) =>
    server.listen(`${at}/wake.sock`, () => {
      chmodSync(`${at}/wake.sock`, 0o777);
      done();
    }),
  );
};

const never = [
  '.env',
  '.git/config',
  'sub/.htpasswd',
  '.wp-config.php.swp',
  'wp-config.php~',
  'wp-config.php.bak',
  'wp-config.php.BAK',
  'wp-config.php.old',
  'wp-config.php.orig',
  'wp-config.php.save',
  'wp-config.php.dist',
  'wp-config.php.swp',
  'wp-config.php.swo',
  'wp-config.php.txt',
  'wp-config.php.1',
  'wp-config.php.2026-11-21',
  'wp-config.php.gz',
  'wp-config.php_bak',
  'wp-config.php-old',
  '#wp-config.php#',
  'settings.inc',
  'page.phtml',
  'page.php5',
  'page.PHP7',
  'page.phps',
  'page.pht',
  'tool.phar',
  'index.html~',
  'dump.sql',
  'sub/DUMP.SQL',
  'dump.sql.gz',
  'data.sqlite',
  'data.sqlite3',
  'wp-content/debug.log',
  'sub/error_log',
];
/** Looks like the above and is not. */
const sent = [
  '.well-known/security.txt',
  'index.php.html',
  'movie.swf',
  'older.txt',
  'sqlite.js',
  'include.js',
  'php.png',
  'a.bak/page.txt',
  'x.old/page.txt',
  'build.log',
  'debug.log.html',
  '~user/page.txt',
  'telephone.txt',
];
const urlOf = (name: string): string => `/${name.split('/').map(encodeURIComponent).join('/')}`;

before(async () => {
  for (const name of [...never, ...sent]) put(`site/${name}`, `words of ${name}`);
  put('site/page.php', '<?php secret');
  put('site/wanted.sql', 'wanted');
  put('site/real.txt', 'real');
  put('site/folder/x.txt', 'x');
  put('site/indexed/file', '');
  put('host/secret.txt', 'secret', 0);
  put('host/secret.html', 'secret', 0);
  put('host/index.html', 'secret', 0);
  put('sibling/config.txt', 'secret of a sibling');
  for (const each of ['sibling', 'site/folder', 'site']) own(each);
  link('site/to-file.txt', 'real.txt');
  link('site/to-folder', 'folder');
  link('site/around', '../site/folder');
  link('site/to-host.txt', '../host/secret.txt');
  link('site/to-host-absolute.txt', `${folder}/srv/host/secret.txt`);
  link('site/to-passwd.txt', '/etc/passwd');
  link('site/to-host', '../host');
  link('site/folder/in-the-middle', '../../host');
  link('site/to-sibling.txt', '../sibling/config.txt');
  link('site/dangling.txt', 'nowhere');
  link('site/loop.txt', 'loop.txt');
  link('site/indexed/index.html', '../../host/secret.html');
  link('site/linked.php', '/only/in/the/container.php');
  link('site/style.css', '../host/secret.txt');
  put('shelf/book.txt', 'book', 0);
  link('shelf/to-book.txt', 'book.txt', 0);
  put('releases/42/public/real.txt', 'deployed');
  link('releases/42/public/to-host.txt', '../../../host/secret.txt');
  put('an app/public/real.txt', 'real');
  link('current', 'releases/42', 1234);
  const read = parseSettings({ path: paths.settings, text: '' });
  assert.ok('settings' in read);
  const settings = { ...read.settings, httpPort: port };
  for (const each of ['vhosts', 'temp', 'run']) mkdirSync(`${folder}/${each}`, { recursive: true });
  for (const [name, text] of Object.entries(sites)) {
    const parsed = parseSite({ path: `${paths.sites}/${name}.ini`, text: `[site]\n${text}\n` });
    assert.ok('spec' in parsed, JSON.stringify(parsed));
    mkdirSync(`${folder}/run/${runName(name)}`, { recursive: true });
    const server = snippets[name] === undefined ? null : `${folder}/${name}.snippet`;
    if (server !== null) writeFileSync(server, place(snippets[name] ?? ''));
    const vhost = renderVhost(parsed.spec, facts, { server, location: null }, settings, templates, null);
    writeFileSync(`${folder}/vhosts/${name}.conf`, place(vhost));
  }
  writeFileSync(
    `${folder}/shared.conf`,
    place(renderShared(settings, facts, templates, { tls: false, thumbprint: null })),
  );
  const temporary = ['client_body', 'proxy', 'fastcgi', 'scgi', 'uwsgi'];
  // As in Debian the workers are not root. They get to what lies below a folder of mode 0711.
  chmodSync(folder, 0o711);
  writeFileSync(
    `${folder}/nginx.conf`,
    `daemon off;\nuser www-data;\npid ${folder}/pid;\nerror_log ${folder}/error.log;\nevents { }\nhttp {\naccess_log off;\ngzip on;\n` +
      `include /etc/nginx/mime.types;\n` +
      temporary.map((name) => `${name}_temp_path ${folder}/temp/${name};\n`).join('') +
      `include ${folder}/shared.conf;\n}\n`,
  );
  const fastcgi = createFastcgi();
  const told = createHttp((question, answer) => answer.end(JSON.stringify({ url: question.url })));
  for (const [server, name] of [
    [fastcgi, 'fastcgi.sock'],
    [told, 'app.sock'],
  ] as const) {
    servers.push(server);
    await new Promise<void>((done) => void server.listen(`${folder}/run/${name}`, () => done()));
    chmodSync(`${folder}/run/${name}`, 0o777);
  }
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

test('closed, a site shows no file; open, it does, whatever links it follows', async () => {
  for (const name of Object.keys(sites)) {
    assert.equal(await got(name, '/real.txt'), '503', name);
    assert.equal(await got(name, '/to-file.txt'), '503', name);
    await open(name);
    assert.equal(await got(name, '/real.txt'), name === 'deployed.example' ? 'deployed' : 'real', name);
  }
});

test('links below root', async () => {
  /** Site: what stands for a file that is not there, and what of the links it follows. */
  const follows: Record<string, [instead: string, policy: 'no' | 'owner' | 'yes']> = {
    'php.example': ['program', 'no'],
    'php-owner.example': ['program', 'owner'],
    'php-yes.example': ['program', 'yes'],
    'node.example': ['program', 'no'],
    'node-owner.example': ['program', 'owner'],
    'static.example': ['404', 'owner'],
    'static-no.example': ['404', 'no'],
    'static-yes.example': ['404', 'yes'],
  };
  for (const [name, [instead, policy]] of Object.entries(follows)) {
    const same = (text: string): string => (policy === 'no' ? instead : text);
    const any = (text: string): string => (policy === 'yes' ? text : instead);
    for (const [path, wanted] of [
      ['/folder/x.txt', 'x'],
      ['/to-file.txt', same('real')],
      ['/to-folder/x.txt', same('x')],
      ['/around/x.txt', same('x')],
      ['/to-host.txt', any('secret')],
      ['/to-host-absolute.txt', any('secret')],
      ['/to-passwd.txt', any(readFileSync('/etc/passwd', 'utf8'))],
      ['/to-host/secret.txt', any('secret')],
      ['/folder/in-the-middle/secret.txt', any('secret')],
      ['/to-folder/in-the-middle/secret.txt', any('secret')],
      // The same owner: programs of official images all have user id 33.
      ['/to-sibling.txt', same('secret of a sibling')],
      ['/dangling.txt', instead],
      ['/loop.txt', instead],
      ['/none.txt', instead],
    ] as const)
      assert.equal(await got(name, path), wanted, `${name} (${policy}) ${path}`);
    if (instead === 'program' && name.startsWith('node')) continue;
    // A folder by its name or its index: never the words behind a link that is not followed, and never an error of nginx.
    for (const path of ['/to-host', '/to-host/', '/indexed/', '/folder/in-the-middle/']) {
      const { status, body } = await ask(name, path);
      assert.ok(status < 500, `${name} ${path} is ${status}`);
      if (policy !== 'yes') assert.doesNotMatch(body, /secret/, `${name} ${path}`);
    }
  }
});

test('root itself may be reached by links, of whomever', async () => {
  assert.equal(await got('deployed.example', '/real.txt'), 'deployed');
  assert.equal(await got('deployed.example', '/to-host.txt'), 'program');
});

test('root itself is not to be turned into a link by a program that may write to the folder above', async () => {
  rmSync(`${folder}/srv/an app/public`, { recursive: true });
  link('an app/public', '../host');
  assert.equal(await got('writable.example', '/secret.txt'), 'program');
});

test('scripts: the container follows its own links', async () => {
  for (const name of ['php.example', 'php-owner.example', 'php-yes.example']) {
    assert.equal(await got(name, '/page.php'), 'program');
    assert.equal(await got(name, '/none.php'), '404');
    assert.equal(await got(name, '/'), 'program', `${name}: the front script`);
  }
  rmSync(`${folder}/srv/site/linked.php`);
  link('site/linked.php', '../host/secret.txt');
  assert.equal(await got('php.example', '/linked.php'), 'program', 'there is something, and only PHP reads it');
});

test("locations of the admin's snippets: no links out of root; another folder counts from there", async () => {
  assert.equal(await got('php.example', '/style.css'), '403', 'where nothing is tried instead nginx says so');
  assert.equal(await got('php.example', '/shelf/book.txt'), 'book');
  assert.equal(await got('php.example', '/shelf/to-book.txt'), '403');
});

test('what editors and backups leave behind, dumps and sources are never sent', async () => {
  for (const [name, instead] of [
    ['php.example', '404'],
    ['php-yes.example', '404'],
    ['static.example', '404'],
    ['static-yes.example', '404'],
    ['node.example', 'program'],
  ] as const) {
    for (const file of never) assert.equal(await got(name, urlOf(file)), instead, `${name} ${file}`);
    for (const file of sent) assert.equal(await got(name, urlOf(file)), `words of ${file}`, `${name} ${file}`);
    assert.equal(await got(name, '/page.php'), name.startsWith('static') ? '404' : 'program', `${name} page.php`);
  }
  assert.equal(await got('static.example', '/wanted.sql'), '404');
  assert.equal(await got('php.example', '/wanted.sql'), 'wanted', 'a location of a snippet permits one');
});
