import t from 'tap';
import fc from 'fast-check';
import { parseEnvFile } from '../../agent/core/envfile.ts';
import { checkFleet, claimedUnits } from '../../agent/core/fleet.ts';
import { configSchema, reference, siteReference } from '../../agent/core/help.ts';
import { runtimes, serviceKeys, settingKeys, siteKeys } from '../../agent/core/keys.ts';
import { describeProblem } from '../../agent/core/problem.ts';
import { sampleSite } from '../../agent/core/sample.ts';
import { parseSecrets, rootPassword, weakPassword, withRootPassword } from '../../agent/core/secrets.ts';
import { parseService } from '../../agent/core/service.ts';
import { defaultSettings } from '../../agent/core/settings.ts';
import { parseSite } from '../../agent/core/site.ts';
import type { ServiceSpec, SiteSpec } from '../../agent/core/spec.ts';

const site = (stem: string, more = ''): SiteSpec => {
  const text = `[site]\nruntime = node\nimage = node:20\n${more}\n`;
  const result = parseSite({ path: `/etc/appfleet/sites/${stem}.ini`, text });
  if ('spec' in result) return result.spec;
  throw new Error(result.problems.map(describeProblem).join('\n'));
};
const service = (name: string, more = ''): ServiceSpec => {
  const result = parseService({ path: `/etc/appfleet/services/${name}.ini`, text: `[service]\nimage = a\n${more}\n` });
  if ('spec' in result) return result.spec;
  throw new Error(result.problems.map(describeProblem).join('\n'));
};
const said = (
  sites: SiteSpec[],
  services: ServiceSpec[] = [],
  foreign: string[] = [],
  kept: string[] = [],
  holders: Record<string, string> = {},
): string[] =>
  checkFleet(sites, services, new Set(foreign), new Set(kept), new Map(Object.entries(holders))).map((p) =>
    describeProblem(p).replaceAll('/etc/appfleet/', ''),
  );

t.test('a fleet without problems', (t) => {
  const sites = [site('a.org', 'aliases = www.a.org, *.a.org\ntls = off\nneeds = mysql'), site('b.org')];
  t.strictSame(
    said(sites, [service('mysql', 'aliases = mariadb'), service('redis', 'needs = mysql')], ['nginx.service']),
    [],
  );
  t.strictSame(said([], []), []);
  t.end();
});

t.test('a wildcard needs DNS, or certificates that are not ordered', (t) => {
  const sites = (lines: string) => [site('a.org', `aliases = b.org *.a.org\n${lines}`)];
  t.match(said(sites('')).join(), /aliases: a certificate for \*\.a\.org can only be had with DNS-01/);
  for (const lines of ['tls = off', 'https = off', 'tls = files\ncertificate = /etc/c\ncertificate_key = /etc/k'])
    t.strictSame(said(sites(lines)), [], lines);
  const { acme } = defaultSettings;
  const none = [new Set<string>(), new Set<string>(), new Map<string, string>()] as const;
  t.strictSame(checkFleet(sites(''), [], ...none, { ...acme, dnsHook: '/etc/hook' }), []);
  t.strictSame(checkFleet(sites(''), [], ...none, { ...acme, directory: null }), [], 'nothing is ordered at all');
  t.end();
});

t.test('a domain belongs to the site of that name, else to the file that sorts first', (t) => {
  t.strictSame(said([site('b.org', 'aliases = x.org'), site('a.org', 'aliases = x.org')]), [
    'sites/b.org.ini: aliases: x.org is already served by sites/a.org.ini (take it out of one of the two files)',
  ]);
  t.strictSame(said([site('b.org'), site('a.org', 'aliases = b.org')]), [
    'sites/a.org.ini: aliases: b.org is already served by sites/b.org.ini (take it out of one of the two files)',
  ]);
  t.strictSame(said([site('a.org', 'aliases = broken.org')], [], [], ['broken.org']), [
    'sites/a.org.ini: aliases: broken.org is already served by broken.org, whose file has problems (take it out of one of the two files)',
  ]);
  t.match(said([site('b\u00fccher.de'), site('xn--bcher-kva.de')]), [
    'sites/xn--bcher-kva.de.ini: xn--bcher-kva.de is already served by',
  ]);
  t.equal(said([site('Example.org'), site('example.org')]).length, 1);
  t.end();
});

t.test('who serves a domain now keeps it, whatever the files are called', (t) => {
  const quarrel = [site('a.org', 'aliases = x.org, www.z.org'), site('www.z.org'), site('z.org', 'aliases = x.org')];
  t.strictSame(said(quarrel, [], [], [], { 'x.org': 'z.org', 'www.z.org': 'a.org' }), [
    'sites/a.org.ini: aliases: x.org is already served by sites/z.org.ini (take it out of one of the two files)',
    'sites/www.z.org.ini: www.z.org is already served by sites/a.org.ini (take it out of one of the two files)',
  ]);
  t.strictSame(said([site('a.org', 'aliases = x.org')], [], [], ['z.org'], { 'x.org': 'z.org' }), [
    'sites/a.org.ini: aliases: x.org is already served by z.org, whose file has problems (take it out of one of the two files)',
  ]);
  t.strictSame(
    said([site('a.org', 'aliases = x.org')], [], [], [], { 'x.org': 'z.org' }),
    [],
    'who gave it up has it no more',
  );
  t.end();
});

t.test('a unit belongs to one file, and never to two owners', (t) => {
  t.strictSame(said([site('a.org-app'), site('a.org')]), [
    'sites/a.org-app.ini: a.org-app.service belongs to sites/a.org.ini (give the file another name)',
  ]);
  t.match(said([], [service('nginx')], ['nginx.service']), [
    'services/nginx.ini: nginx.service is a unit of this host and not one of ours',
  ]);
  t.match(said([], [service('ssh')], ['ssh.service']), ['services/ssh.ini: ssh.service is a unit']);
  t.match(said([site('a.org')], [], ['a.org.socket']), ['sites/a.org.ini: a.org.socket is a unit']);
  t.match(said([], [service('mysql', 'aliases = mariadb')], ['mariadb.service']), [
    'services/mysql.ini: aliases: mariadb.service is a unit of this host and not one of ours (remove mariadb from the aliases)',
  ]);
  t.match(said([], [service('db', 'aliases = mysql'), service('mysql')]), [
    'services/db.ini: aliases: mysql.service belongs to services/mysql.ini (remove mysql from the aliases)',
  ]);
  t.match(said([], [service('db', 'aliases = x1'), service('db2', 'aliases = x1')]), [
    'services/db2.ini: aliases: x1.service belongs to services/db.ini',
  ]);
  t.match(said([site('nginx.sh')], [], ['nginx.service']), [
    'sites/nginx.sh.ini: `service nginx.sh stop` would stop nginx.service, and that is a unit of this host',
  ]);
  t.match(said([site('appfleet.sh')]), [
    'sites/appfleet.sh.ini: `service appfleet.sh stop` would stop appfleet.service, and that belongs to the agent',
  ]);
  t.match(said([site('db.sh')], [service('db')]), [
    'sites/db.sh.ini: `service db.sh stop` would stop db.service, and that belongs to services/db.ini',
  ]);
  for (const unit of [
    'x.sh.service',
    'x.sh.socket',
    'x.sh-app.service',
    'x.service',
    'db.service',
    'db-app.service',
    'other.service',
  ])
    t.ok(claimedUnits([site('x.sh')], [service('db', 'aliases = other')]).has(unit), unit);
  t.end();
});

t.test('needs', (t) => {
  const mysql = service('mysql', 'aliases = mariadb');
  t.strictSame(said([site('a.org', 'needs = mysq')], [mysql]), [
    'sites/a.org.ini: needs: there is no service mysq (did you mean `mysql`?)',
  ]);
  t.match(said([site('a.org', 'needs = mariadb')], [mysql]), ['it is an alias: write mysql']);
  t.match(said([site('a.org', 'needs = redis')], []), ['make services/redis.ini']);
  t.strictSame(
    said([site('a.org', 'needs = redis')], [], [], ['redis']),
    [],
    'a service whose own file has problems keeps what it had',
  );
  t.strictSame(
    said(
      [],
      [
        service('aa', 'needs = bb'),
        service('bb', 'needs = cc'),
        service('cc', 'needs = aa'),
        service('dd', 'needs = aa'),
      ],
    ),
    [
      'services/aa.ini: needs: services need each other in a circle: aa -> bb -> cc -> aa (remove one of the needs)',
      'services/bb.ini: needs: services need each other in a circle: bb -> cc -> aa -> bb (remove one of the needs)',
      'services/cc.ini: needs: services need each other in a circle: cc -> aa -> bb -> cc (remove one of the needs)',
    ],
  );
  t.match(said([], [service('aa', 'needs = aa')]), ['a service cannot need itself']);
  t.end();
});

t.test('a thousand sites are checked in no time', (t) => {
  const base = site('a.org', 'aliases = www.a.org\nneeds = mysql');
  const sites = Array.from({ length: 5000 }, (_, i) => ({
    ...base,
    name: `s${i}.org`,
    file: `s${i}.org.ini`,
    aliases: [`www.s${i}.org`],
  }));
  const began = process.hrtime.bigint();
  t.strictSame(said(sites, [service('mysql')]), []);
  t.ok(Number(process.hrtime.bigint() - began) / 1e6 < 500);
  t.end();
});

const env = (text: string) => parseEnvFile({ path: 'x.env', text });

t.test('env files', (t) => {
  t.strictSame(env('\ufeff# c\r\n\r\nA=b\r\n  B= c # d \nC="q"\nD=\nE=a=b'), {
    env: { A: 'b', B: ' c # d ', C: '"q"', D: '', E: 'a=b' },
  });
  const problems: [string, RegExp][] = [
    ['A', /^x\.env:1: this line has no `=`/],
    ['A=1\nA=2', /^x\.env:2: A: is already set in line 1/],
    ['A B=1', /this cannot be the name of a variable/],
    ['export A=1', /cannot be the name/],
    ['__proto__=1', /cannot be the name/],
    ['A=\0', /^x\.env:1: .*U\+0000/],
    ['A=a\tb', /^x\.env:1: A: the value holds a control/],
  ];
  for (const [text, message] of problems) {
    const result = env(text);
    t.match('problems' in result ? result.problems.map(describeProblem).join('\n') : '', message, text);
  }
  t.match(parseEnvFile({ path: 'x', text: null, unreadable: 'ENOENT' }), {
    problems: [{ message: 'cannot be read: ENOENT' }],
  });
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (text) => {
      const result = env(`A=${text}`);
      const [line = ''] = text.split('\n');
      return 'problems' in result || Object.keys(result.env).length > 1 || result.env['A'] === line.replace(/\r$/, '');
    }),
    { numRuns: 10_000 },
  );
  t.end();
});

const secrets = (text: string) => parseSecrets({ path: '.env', text });

t.test('secrets', (t) => {
  const strong = 'kV8rPq2nXw7T';
  t.strictSame(secrets(`# c\nexport ${rootPassword}=${strong}\nB='a$b # c'\nC="x \\"y\\" \\\\" # d\nD = e f \n`), {
    secrets: { [rootPassword]: strong, B: 'a$b # c', C: 'x "y" \\', D: 'e f' },
  });
  for (const text of [
    'A=a #b',
    'A=#b',
    'A=$B',
    'A="$B"',
    'A="a',
    "A='a",
    'A="a" b',
    'A',
    'A=1\nA=2',
    '1=2',
    'A="\\n"',
    `${rootPassword}=`,
    `${rootPassword}=1234`,
    `${rootPassword}="changeme"`,
  ])
    t.match(secrets(text), { problems: [{ file: '.env', line: Number }] }, text);
  const weak = [
    '',
    '1234',
    'password',
    'root',
    'changeme',
    'example',
    'admin',
    'secret',
    'PassWord',
    'my-secret-pw',
    'short1!',
    'aaaaaaaaaa',
    'abababababab',
    '<password>',
    '12345678',
  ];
  for (const value of weak) t.type(weakPassword(value), 'string', value);
  t.equal(weakPassword(strong), null);
  const made = withRootPassword(null, strong);
  t.strictSame(secrets(made), { secrets: { [rootPassword]: strong } });
  t.strictSame(secrets(withRootPassword('A=b', strong)), { secrets: { A: 'b', [rootPassword]: strong } });
  t.throws(() => withRootPassword(null, 'a b'), TypeError);
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 12 }), (value) => {
      for (const text of [`A=${value}`, `A='${value}'`, `A="${value}"`]) {
        const result = secrets(text);
        if (
          'problems' in result &&
          result.problems.some((p) => value.length > 4 && /^\w+$/.test(value) && describeProblem(p).includes(value))
        )
          return false;
      }
      const quoted = secrets(`A="${value.replace(/[\\"]/g, '\\$&')}"`);
      return 'problems' in quoted || quoted.secrets['A'] === value;
    }),
    { numRuns: 10_000 },
  );
  t.end();
});

t.test('sample files have no problems, also with every comment taken off', (t) => {
  for (const runtime of runtimes) {
    const text = sampleSite('example.org', runtime);
    const path = '/etc/appfleet/sites/example.org.ini';
    t.match(parseSite({ path, text }), { spec: { name: 'example.org', runtime } }, text);
    t.match(parseSite({ path, text: text.replaceAll(/^;(?! )/gm, '') }), {
      spec: { aliases: ['www.example.org', 'example.com'] },
    });
  }
  t.end();
});

t.test('the reference and the schema name every key', (t) => {
  for (const format of ['text', 'markdown'] as const) {
    for (const key of Object.values(siteKeys))
      t.ok(
        siteReference(format).includes(key.name) && siteReference(format).includes(key.example.replaceAll('|', '\\|')),
        key.name,
      );
    for (const key of Object.values(serviceKeys)) t.ok(reference('service', format).includes(key.name), key.name);
    for (const key of Object.values(settingKeys)) t.ok(reference('settings', format).includes(key.name), key.name);
  }
  for (const row of siteReference('markdown')
    .split('\n')
    .filter((line) => line.startsWith('|')))
    t.equal(row.replaceAll('\\|', '').split('|').length, 7, row);
  for (const line of siteReference('text').split('\n')) t.ok(line.length <= 100, line);
  t.match(JSON.parse(JSON.stringify(configSchema())), {
    $defs: {
      site: {
        required: ['site'],
        properties: { site: { required: ['runtime'], properties: { runtime: { enum: runtimes } } } },
      },
      service: { properties: { service: { required: ['image'] } } },
      settings: { properties: { appfleet: { properties: { http_port: { default: '80' } } } } },
    },
  });
  t.end();
});

t.test('names that the agent uses itself', (t) => {
  t.match(checkFleet([site('agent.sock')], [service('slots')], new Set()), [
    { message: 'agent.sock is a name that the agent uses itself' },
    { message: 'slots is a name that the agent uses itself' },
  ]);
  t.strictSame(checkFleet([site('agent.example')], [service('slot')], new Set()), []);
  t.end();
});
