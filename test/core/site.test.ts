import t from 'tap';
import fc from 'fast-check';
import { describeProblem, type Problem } from '../../agent/core/problem.ts';
import { parseService } from '../../agent/core/service.ts';
import { parseSettings } from '../../agent/core/settings.ts';
import { parseSite } from '../../agent/core/site.ts';
import type { SiteSpec } from '../../agent/core/spec.ts';

const file = '/etc/appfleet/sites/example.org.ini';
const site = (text: string, path = file) => parseSite({ path, text });

const specOf = (text: string, path = file): SiteSpec => {
  const result = site(text, path);
  if ('spec' in result) return result.spec;
  throw new Error(result.problems.map(describeProblem).join('\n'));
};
const problemsOf = (text: string, path = file): Problem[] => {
  const result = site(text, path);
  return 'problems' in result ? result.problems : [];
};
const said = (text: string, path = file): string => problemsOf(text, path).map(describeProblem).join('\n');

const php = '[site]\nruntime = php-fpm\nimage = wordpress:php8.2-fpm\nroot = /srv/www/example.org\n';
const node = '[site]\nruntime = node\nimage = node:20\n';
const fixed = '[site]\nruntime = static\nroot = /srv/www\n';

t.test('the example of the design is read, comments and all', (t) => {
  const spec = specOf(`[site]
aliases = www.example.org
runtime = php-fpm            ; php-fpm | node | container | static
image   = wordpress:php8.2-fpm
root    = /srv/www/example.org
idle    = 10m                ; "never" keeps it awake
needs   = mysql              ; services that must run first
[env]
WORDPRESS_DB_HOST = localhost:/run/mysqld/mysqld.sock
`);
  t.strictSame(spec, {
    name: 'example.org',
    file,
    aliases: ['www.example.org'],
    runtime: 'php-fpm',
    container: {
      image: 'wordpress:php8.2-fpm',
      command: [],
      env: { WORDPRESS_DB_HOST: 'localhost:/run/mysqld/mysqld.sock' },
      envFile: null,
      volumes: [],
      memory: null,
      cpus: null,
      network: 'bridge',
      startTimeoutSeconds: 60,
      stopTimeoutSeconds: 10,
      needs: ['mysql'],
    },
    port: 0,
    root: '/srv/www/example.org',
    containerRoot: '/var/www/html',
    poolDirectory: '/usr/local/etc/php-fpm.d',
    index: ['index.php', 'index.html'],
    symlinks: 'no',
    idleSeconds: 600,
    drainTimeoutSeconds: 30,
    readTimeoutSeconds: 300,
    health: { kind: 'connect' },
    maxBodyBytes: 64 * 2 ** 20,
    redirect: 'none',
    basicAuth: null,
    headers: [],
    maintenancePage: null,
    tls: { mode: 'auto', certificate: null, key: null, https: 'redirect', hstsSeconds: null, keyType: 'ecdsa' },
  });
  t.end();
});

t.test('every key of a site', (t) => {
  const spec = specOf(`[site]
aliases = www.example.org, *.example.org B\u00fccher.example
runtime = container
image = registry.example.org:5000/team/app:1.2
command = "sh -c 'echo \\"a;b\\" # c'"
port = 8080
root = "/srv/www/with blank"
idle = never
needs = mysql, redis
env_file = /etc/appfleet/example.env
volumes = /srv/data:/data, uploads:/up:ro
memory = 256m
cpus = 0.5
network = none
health = /health?full=1
start_timeout = 1h30m
stop_timeout = 5s
drain_timeout = 0s
read_timeout = 2h
max_body_size = 2G
redirect = www-to-apex
basic_auth = /etc/appfleet/example.htpasswd
maintenance_page = /srv/www/closed.html
[env]
DEBUG = true
EMPTY =
TEXT = "a # b ; c \\" \\\\ d"
lower = plain text with blanks
[headers]
X-Robots-Tag = noindex
`);
  t.strictSame(spec.aliases, ['www.example.org', '*.example.org', 'xn--bcher-kva.example']);
  t.strictSame(spec.container, {
    image: 'registry.example.org:5000/team/app:1.2',
    command: ['sh', '-c', 'echo "a;b" # c'],
    env: { DEBUG: 'true', EMPTY: '', TEXT: 'a # b ; c " \\ d', lower: 'plain text with blanks' },
    envFile: '/etc/appfleet/example.env',
    volumes: [
      { host: '/srv/data', container: '/data', readOnly: false },
      { host: 'uploads', container: '/up', readOnly: true },
    ],
    memory: 256 * 2 ** 20,
    cpus: 0.5,
    network: 'none',
    startTimeoutSeconds: 5400,
    stopTimeoutSeconds: 5,
    needs: ['mysql', 'redis'],
  });
  const { port, root, idleSeconds, drainTimeoutSeconds, readTimeoutSeconds, health, maxBodyBytes, redirect } = spec;
  t.strictSame(
    { port, root, idleSeconds, drainTimeoutSeconds, readTimeoutSeconds, health, maxBodyBytes, redirect },
    {
      port: 8080,
      root: '/srv/www/with blank',
      idleSeconds: 'never',
      drainTimeoutSeconds: 0,
      readTimeoutSeconds: 7200,
      health: { kind: 'http', path: '/health?full=1' },
      maxBodyBytes: 2 * 2 ** 30,
      redirect: 'to-apex',
    },
  );
  t.strictSame(spec.headers, [['X-Robots-Tag', 'noindex']]);
  t.equal(spec.basicAuth, '/etc/appfleet/example.htpasswd');
  t.equal(spec.maintenancePage, '/srv/www/closed.html');
  t.match(specOf(node), { port: 3000, root: null, readTimeoutSeconds: 3600 });
  t.match(specOf(fixed), { container: null, index: ['index.html'], symlinks: 'owner', idleSeconds: 'never' });
  t.end();
});

t.test('all problems are reported at once, with file, line, key and suggestion', (t) => {
  const text = `[site]
alias = www.example.org
runtime = php-fmp
imgae = x
idle = 5
idle = 10m
memory = lots
[evn]
A = b
[headers]
X-A = $remote_addr
[env]
B = a#b
root = /srv/x
`;
  t.strictSame(said(text).split('\n'), [
    `${file}:2: alias: is not a key of [site] (did you mean \`aliases\`?)`,
    `${file}:3: runtime: \`php-fmp\` is not one of php-fpm, node, container, static (did you mean \`php-fpm\`?)`,
    `${file}:4: imgae: is not a key of [site] (did you mean \`image\`?)`,
    `${file}:5: idle: \`5\` has no unit (write \`5s\` or \`5m\`)`,
    `${file}:6: idle: is already set in line 5 (remove one of them)`,
    `${file}:7: memory: \`lots\` is not a size (write it like 512k, 64m or 1g)`,
    `${file}:8: [evn] is not a section of a site file (did you mean \`env\`?)`,
    `${file}:11: X-A: the value holds a \`$\`, which nginx would take for a variable`,
    `${file}:13: B: an unquoted \`#\` would end the value here (put the whole value in double quotes, B = "...", ` +
      'and write \\" for a quote and \\\\ for a backslash inside; a comment needs its own line)',
    `${file}:14: root: is a key of [site] but stands in [env] (move it above [env])`,
  ]);
  t.end();
});

t.test('what is written at the wrong place', (t) => {
  t.match(said('runtime = node\nimage = node:20\n'), /^[^\n]*:1: runtime: this line is above the first section[^\n]*$/);
  t.match(said(`${node}env = A=b\n`), /env: is not a key of \[site\] \(write it as a section \[env\]\)/);
  t.match(said(`${node}[image]\n`), /\[image\] is not a section of a site file \(write it as a key of \[site\]\)/);
  t.match(said(`${node}[site]\nidle = 1m\n`), /section \[site\] is already in line 1/);
  t.match(said(`${node} [env]\n`), /a section must begin at the start of the line/);
  t.match(said(`${node}[env] ; x\n`), /a comment cannot follow a section/);
  t.match(said(`${node}[env\n`), /is not closed/);
  t.match(said(`${node}just a line\n`), /this line has no `=`/);
  t.match(said(`${node}= x\n`), /there is no key/);
  t.match(said(`${node}aliases[] = a.org\n`), /`\[\]` after a key has no meaning/);
  t.match(said(`${node}"idle" = 1m\n`), /cannot be a key/);
  t.match(said(`${node}idle =\n`), /idle: has no value/);
  t.match(said(''), /runtime: is missing/);
  t.match(said('[site]\nruntime = container\n'), /image: is missing: a container site needs it[^]*port: is missing/);
  t.end();
});

t.test('keys without a meaning for the runtime say for which they are', (t) => {
  t.match(
    said(`${fixed}image = x\n`),
    /image: has no meaning for runtime static \(it is for php-fpm, node, and container\)/,
  );
  t.match(said(`${fixed}[env]\nA = b\n`), /:4: \[env\] has no meaning for runtime static/);
  t.match(said(`${php}port = 80\n`), /port: has no meaning for runtime php-fpm \(it is for node and container\)/);
  t.match(said(`${node}pool_dir = /x\n`), /pool_dir: has no meaning/);
  t.match(said(`${node}health = ping\n`), /`ping` is a question for php-fpm/);
  t.match(said(`${php}health = /x\n`), /php-fpm does not speak HTTP/);
  t.match(specOf(`${php}health = ping\n`).health, { kind: 'fastcgi-ping' });
  t.match(said(`${node}[env]\nPORT = 80\n`), /:5: PORT: is set by appfleet \(use the key `port`/);
  t.match(said(`${php}volumes = /srv/x:/var/www/html\n`), /where root already is/);
  t.end();
});

t.test('no value is cut in silence', (t) => {
  for (const value of [
    'a;b',
    'a ; b',
    'a # b',
    '#',
    'a \\; b',
    'a\\\\b',
    `'a'`,
    `'`,
    `"a`,
    `"a" ; b`,
    `"a" "b"`,
    `"a\\qb"`,
    '"',
    `'a' b`,
  ]) {
    t.not(said(`${node}[env]\nA = ${value}\n`), '', `env ${value}`);
    t.not(said(`${node}command = ${value}\n`), '', `command ${value}`);
  }
  t.match(said(`${fixed}maintenance_page = /srv/a.html ; why\n`), /a comment needs its own line/);
  t.match(said(`${node}idle = 1m;why\n`), /an unquoted `;` would end the value/);
  t.equal(specOf(`${node}idle = 1m # why = "x"\n`).idleSeconds, 60);
  t.strictSame(specOf(`${node}[env]\nA = C:\\dir\\x "y" 'z'\n`).container?.env, { A: `C:\\dir\\x "y" 'z'` });
  t.strictSame(specOf(`${node}command = node a.js "b c" \\"d\n`).container?.command, ['node', 'a.js', 'b c', '"d']);
  t.end();
});

t.test('secrets are not repeated', (t) => {
  const secret = 'hunter2';
  for (const line of [
    `A = ${secret};x`,
    `A = "${secret}`,
    `A = ${secret}\u0007`,
    `${secret}`,
    `${secret}+/ab==`,
    `A = '${secret}'`,
  ])
    t.notMatch(said(`${node}[env]\n${line}\n`), secret, line);
  t.notMatch(said(`${node}command = x --password ${secret};\n`), secret);
  t.end();
});

t.test('the name of the file', (t) => {
  const named = (name: string): string => said(fixed, `/etc/appfleet/sites/${name}.ini`);
  t.equal(specOf(fixed, '/x/B\u00fccher.de.ini').name, 'xn--bcher-kva.de');
  t.equal(specOf(fixed, '/x/Example.ORG.ini').name, 'example.org');
  t.equal(specOf(fixed, '/x/example.sh.ini').name, 'example.sh');
  t.match(named('nginx'), /has no dot/);
  t.match(
    named('*.example.org'),
    /a wildcard site needs a name of its own \(name the file like wildcard\.example\.org\.ini/,
  );
  t.match(named('a.service'), /systemd takes that/);
  t.match(named('a.target'), /systemd takes that/);
  t.match(named(`${'a.'.repeat(150)}org`), /longer than 253/);
  t.match(named(`${'a.'.repeat(110)}org`), /200 characters/);
  t.match(named('..'), /is not a domain|ends with a dot/);
  t.match(named('127.0.0.1'), /is an address/);
  t.match(named('a\n.org'), /contains `\?`/);
  t.match(said(`${fixed}aliases = example.org\n`), /is the site's own name/);
  t.match(
    said(`${fixed}redirect = www-to-apex\n`),
    /:4: redirect: needs both names, with www and without \(add www\.example\.org to the aliases\)/,
  );
  t.match(said(`${fixed}redirect = apex-to-www\n`, '/x/www.a.org.ini'), /add a\.org to the aliases/);
  t.end();
});

t.test('files that are no text', (t) => {
  t.equal(specOf(`\ufeff${php.replaceAll('\n', '\r\n')}`).runtime, 'php-fpm');
  t.match(said(`${node}[env]\nA = b\0c\n`), /:5: A: this line holds a character that is not text \(U\+0000\)/);
  t.match(said('[site]\nruntime = no\0de\n'), /^[^\n]*:2: runtime: this line holds[^\n]*$/);
  t.match(said(`${node}A\rB = c\n`), /U\+000D/);
  t.match(said(`${node}command = a\u2028b\n`), /U\+2028/);
  t.match(said(`${node}command = a\ufffdb\n`), /is not UTF-8 text/);
  t.match(said(`${node}command = a\u202eb\n`), /U\+202E/);
  t.match(said(`${node}command = "a\\nb"\n`), /command: the value holds a control character/);
  t.match(parseSite({ path: file, text: null, unreadable: 'EACCES' }), {
    problems: [{ message: 'cannot be read: EACCES' }],
  });
  t.match(parseSite({ path: file, text: null }), { problems: [{ message: 'cannot be read' }] });
  t.ok(problemsOf('x\n'.repeat(5000)).length <= 102);
  t.end();
});

t.test('10 MB of junk is refused at once, 256 KiB of it soon', (t) => {
  for (const line of ['\0\u0001junk', 'runtimee = node', '[section]', 'a = "', 'aaaa bbbb = \\', '=', '[[[[']) {
    const began = process.hrtime.bigint();
    const problems = problemsOf(`${line}\n`.repeat(10_000_000 / line.length));
    t.match(problems, [{ message: 'is larger than 256 KiB; nothing in it was read' }]);
    t.ok(problemsOf(`${line}\n`.repeat(200_000 / (line.length + 1))).length > 1);
    t.ok(problemsOf(line.repeat(260_000 / line.length)).length > 0);
    t.ok(Number(process.hrtime.bigint() - began) / 1e6 < 100, `${line} in time`);
  }
  t.end();
});

t.test('names that objects have already are keys like any other', (t) => {
  for (const key of ['__proto__', 'constructor', 'prototype', 'hasOwnProperty', 'toString', '__defineGetter__']) {
    t.not(said(`${node}${key} = x\n`), '', key);
    t.not(said(`${node}[${key}]\nx = y\n`), '', `[${key}]`);
  }
  t.not(said(`${node}[env]\n__proto__ = x\n`), '');
  t.equal(Object.hasOwn(specOf(`${node}[env]\nconstructor = x\n`).container?.env ?? {}, 'constructor'), true);
  t.equal(({} as Record<string, unknown>)['x'], undefined);
  t.end();
});

t.test('headers', (t) => {
  const header = (line: string): string => said(`${fixed}[headers]\n${line}\n`);
  t.equal(header('X-A = b c'), '');
  t.match(header('X-A = a\nx-a = b'), /is already set in line 5/);
  for (const bad of [
    'X_A = b',
    'X A = b',
    'Content-Length = 1',
    'X-A =',
    'X-A = \u00e4',
    'X-A = $host',
    `X-A = ${'a'.repeat(4000)}`,
  ])
    t.not(header(bad), '', bad);
  t.end();
});

t.test('shared containers', (t) => {
  const path = '/etc/appfleet/services/mysql.ini';
  const text = `[service]
image = mariadb:11
aliases = mariadb, mysqld
ready = socket:/run/mysqld/mysqld.sock
volumes = mysql:/var/lib/mysql
[env]
A = b
`;
  t.match(parseService({ path, text }), {
    spec: {
      name: 'mysql',
      file: path,
      aliases: ['mariadb', 'mysqld'],
      ready: { kind: 'socket', path: '/run/mysqld/mysqld.sock' },
      idleSeconds: 'never',
      container: { image: 'mariadb:11', env: { A: 'b' }, network: 'bridge' },
    },
  });
  t.match(parseService({ path, text: '[service]\nimage = a\nready = port:3306\n' }), {
    spec: { ready: { kind: 'port', port: 3306 } },
  });
  t.match(parseService({ path, text: '[service]\nimage = a\nready =\n' }), { spec: { ready: null } });
  const saidOf = (text: string, path = '/etc/appfleet/services/mysql.ini'): string => {
    const result = parseService({ path, text });
    return 'problems' in result ? result.problems.map(describeProblem).join('\n') : '';
  };
  t.match(saidOf(''), /image: is missing \(write image/);
  t.match(saidOf('[service]\nimage = a\nroot = /srv\n'), /root: is not a key of \[service\]/);
  t.match(saidOf('[service]\nimage = a\nready = tcp:1\n'), /write socket:\/path or port:3306/);
  t.match(saidOf('[service]\nimage = a\naliases = mysql\n'), /is the service's own name/);
  t.match(saidOf('[site]\nimage = a\n'), /\[site\] is not a section of a service file/);
  t.match(
    saidOf('[service]\nimage = a\n[env]\nMYSQL_ROOT_PASSWORD = 1234\n'),
    /:4: MYSQL_ROOT_PASSWORD: the password is one that everybody tries first/,
  );
  for (const name of ['Mysql', 'a', 'a-app', 'appfleet', 'appfleet-wake', '-a', 'a.b', 'a_b', 'a'.repeat(64)])
    t.not(saidOf('[service]\nimage = a\n', `/x/${name}.ini`), '', name);
  t.end();
});

t.test('settings', (t) => {
  const path = '/etc/appfleet/appfleet.ini';
  const acme = {
    directory: 'https://acme-v02.api.letsencrypt.org/directory',
    caFile: null,
    contacts: [],
    binding: null,
    profile: null,
    dnsHook: null,
    addresses: 'host',
  };
  const defaults = { parallelStarts: 4, passIntervalSeconds: 60, httpPort: 80, httpsPort: 443, acme, consul: null };
  t.strictSame(parseSettings({ path, text: '' }), { settings: defaults });
  t.strictSame(parseSettings({ path, text: '[appfleet]\nparallel_starts = 8\nhttp_port = 8080\n' }), {
    settings: { ...defaults, parallelStarts: 8, httpPort: 8080 },
  });
  t.match(parseSettings({ path, text: '[appfleet]\nparallel_starts = 0\n' }), {
    problems: [{ line: 2, key: 'parallel_starts' }],
  });
  t.match(parseSettings({ path, text: '[appfleet]\nparallel_start = 1\n' }), {
    problems: [{ hint: 'did you mean `parallel_starts`?' }],
  });
  t.end();
});

t.test('where Consul is', (t) => {
  const consul = (lines: string) => {
    const read = parseSettings({ path: '/etc/appfleet/appfleet.ini', text: `[consul]\n${lines}\n` });
    if ('problems' in read) return read.problems.map(describeProblem).join('\n');
    return read.settings.consul;
  };
  const defaults = {
    address: { kind: 'http', host: '127.0.0.1', port: 8500 },
    datacenter: null,
    tokenFile: null,
    caFile: null,
    certificate: null,
    kvPrefix: 'appfleet',
    servicePrefix: '',
    tags: [],
    serviceAddress: null,
    ttlSeconds: 90,
    registrator: false,
    kvSet: false,
    fleetstreet: 'off',
  };
  t.strictSame(consul(''), defaults, 'the section alone is enough');
  t.strictSame(
    consul(
      [
        'address = https://consul.example.org:8501 ; this host',
        'datacenter = dc1',
        'token_file = /etc/t',
        'ca_file = /etc/ca.pem',
        'certificate = /etc/c.pem',
        'certificate_key = /etc/c.key',
        'kv_prefix = prod/fleet',
        'service_prefix = web-',
        'tags = production, eu=west',
        'service_address = 2001:0DB8::1',
        'ttl = 5m',
        'registrator = on',
        'kv_set = on',
        'fleetstreet = raw',
      ].join('\n'),
    ),
    {
      address: { kind: 'https', host: 'consul.example.org', port: 8501 },
      datacenter: 'dc1',
      tokenFile: '/etc/t',
      caFile: '/etc/ca.pem',
      certificate: { file: '/etc/c.pem', keyFile: '/etc/c.key' },
      kvPrefix: 'prod/fleet',
      servicePrefix: 'web-',
      tags: ['production', 'eu=west'],
      serviceAddress: '2001:db8::1',
      ttlSeconds: 300,
      registrator: true,
      kvSet: true,
      fleetstreet: 'raw',
    },
  );
  for (const [text, address] of [
    ['unix:///run/consul/http.sock', { kind: 'unix', path: '/run/consul/http.sock' }],
    ['http://[::1]:8500', { kind: 'http', host: '::1', port: 8500 }],
    ['http://consul.service', { kind: 'http', host: 'consul.service', port: 8500 }],
  ] as const)
    t.strictSame(consul(`address = ${text}`), { ...defaults, address });
  for (const text of [
    'consul',
    'http://',
    'http://a:0',
    'http://a:65536',
    'ftp://a',
    'http://a/v1',
    'http://u:p@a',
    'unix://x',
  ])
    t.type(consul(`address = ${text}`), 'string', text);
  for (const prefix of ['/x', 'x/', 'a//b', 'a b', 'é']) t.type(consul(`kv_prefix = ${prefix}`), 'string', prefix);
  t.end();
});

t.test('who issues certificates', (t) => {
  const acme = (lines: string) => {
    const read = parseSettings({ path: '/etc/appfleet/appfleet.ini', text: `[appfleet]\n${lines}\n` });
    if ('problems' in read) return read.problems.map(describeProblem).join('\n');
    return read.settings.acme;
  };
  t.match(acme('acme_directory = letsencrypt-staging'), {
    directory: 'https://acme-staging-v02.api.letsencrypt.org/directory',
  });
  t.match(acme('acme_directory = none'), { directory: null });
  t.match(acme('acme_directory = https://[::1]:14000/dir?x=1'), { directory: 'https://[::1]:14000/dir?x=1' });
  t.match(acme('acme_email = a.b@bücher.example, c@example.org'), {
    contacts: ['mailto:a.b@xn--bcher-kva.example', 'mailto:c@example.org'],
  });
  t.match(acme('acme_eab_kid = "a;b"\nacme_eab_key_file = /etc/eab'), {
    binding: { kid: 'a;b', keyFile: '/etc/eab' },
  });
  t.match(acme('acme_eab_kid = x'), /acme_eab_key_file: is missing/);
  t.match(acme('acme_addresses = 192.0.2.1 2001:0DB8:0::1'), { addresses: ['192.0.2.1', '2001:db8::1'] });
  t.match(acme('acme_addresses = any'), { addresses: 'any' });
  for (const directory of [
    '',
    'http://ca.example/dir',
    'https://',
    'https://a b/',
    'https://a/\u0007',
    'ftp://x',
    '/x',
  ])
    t.type(acme(`acme_directory = ${directory}`), 'string', directory);
  for (const email of ['x', '@a.example', 'a@b', 'a?x@b.example', 'a%2c@b.example', 'a@*.b.example', 'a b@c.example'])
    t.type(acme(`acme_email = ${email}`), 'string', email);
  for (const address of ['1.2.3', '256.1.1.1', '01.2.3.4', '::g', '1::2::3', 'localhost', '[::1]', 'any 192.0.2.1'])
    t.type(acme(`acme_addresses = ${address}`), 'string', address);
  for (const profile of ['a b', '-x', 'x'.repeat(65)]) t.type(acme(`acme_profile = ${profile}`), 'string', profile);
  t.end();
});

t.test('HTTPS', (t) => {
  const tls = (lines: string) => specOf(`${fixed}${lines}\n`).tls;
  t.match(tls('tls = off'), { mode: 'off' });
  t.match(tls('https = only ; a comment\nhsts = 2h\nkey_type = rsa'), {
    https: 'only',
    hstsSeconds: 7200,
    keyType: 'rsa',
  });
  t.match(tls('hsts = 0s'), { hstsSeconds: 0 });
  t.match(tls('tls = files\ncertificate = /etc/a b.pem\ncertificate_key = /etc/k'), {
    mode: 'files',
    certificate: '/etc/a b.pem',
    key: '/etc/k',
  });
  t.match(said(`${fixed}tls = files\ncertificate = /etc/c\n`), /certificate_key: is missing/);
  t.match(said(`${fixed}certificate_key = /etc/c\n`), /:4: certificate_key: has no meaning with tls = auto/);
  t.match(said(`${fixed}tls = off\nhsts = 1d\n`), /:5: hsts: would lock visitors out/);
  t.match(said(`${fixed}hsts = 1d\n[headers]\nStrict-Transport-Security = x\n`), /:4: hsts: is set in \[headers\]/);
  t.end();
});

t.test('any text at all gives a spec or problems with a place, and no message can break a line', (t) => {
  const keys = ['runtime', 'image', 'root', 'command', 'aliases', 'volumes', 'idle', 'x', '__proto__'];
  const line = fc.oneof(
    fc.constantFrom('[site]', '[env]', '[headers]', 'runtime = static', 'root = /srv/www'),
    fc
      .tuple(fc.constantFrom(...keys), fc.string({ unit: 'binary', maxLength: 20 }))
      .map(([key, value]) => `${key} = ${value}`),
    fc.string({ unit: 'binary', maxLength: 30 }),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
      for (const problem of problemsOf(lines.join('\n'))) {
        if (/[\p{C}\u2028\u2029]/u.test(describeProblem(problem))) return false;
        if (problem.line !== undefined && problem.line > lines.join('\n').split('\n').length) return false;
      }
      return true;
    }),
    { numRuns: 10_000 },
  );
  t.end();
});
