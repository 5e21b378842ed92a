import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { askOn } from '../../agent/commands/ask.ts';
import { checkCommand } from '../../agent/commands/check.ts';
import { completedCommands, completionCommand } from '../../agent/commands/completion.ts';
import { helpCommand, schemaCommand } from '../../agent/commands/help.ts';
import { logsCommand } from '../../agent/commands/logs.ts';
import { siteCreateCommand, siteRemoveCommand } from '../../agent/commands/site.ts';
import { fileKinds, runtimes } from '../../agent/core/keys.ts';
import { AppFleetError } from '../../agent/errors.ts';
import { createProgram } from '../../agent/program.ts';
import { createFleetReader } from '../../agent/reconcile/fleet.ts';
import { makeAuthority } from '../certificates/make-certificate.ts';
import { createFakeContext } from '../fakes/context.ts';
import { createFakeHost } from '../fakes/host.ts';

const sites = '/etc/appfleet/sites';
const text = { json: false };

const fleet = () => {
  const host = createFakeHost();
  host.disk.set(`${sites}/example.org.ini`, '[site]\nruntime = node\nimage = node:20\naliases = www.example.org\n');
  host.disk.set('/etc/appfleet/services/mysql.ini', '[service]\nimage = mariadb:11\n');
  const context = createFakeContext(host);
  return { host, context };
};

t.test('check', async (t) => {
  const { host, context } = fleet();
  t.equal(await checkCommand(context, [], text), 0);
  t.equal(context.take(), '2 files, no problems');

  host.disk.set(`${sites}/b.example.org.ini`, '[site]\nruntim = node\nport = abc\nimage = node:20\n');
  host.disk.set('/etc/appfleet/appfleet.ini', '[appfleet]\nhttp_port = many\n');
  t.equal(await checkCommand(context, [], text), 2);
  const lines = context.take().split('\n');
  t.match(lines[0], /^\/etc\/appfleet\/appfleet.ini:2: http_port: /);
  t.match(lines.join('\n'), `${sites}/b.example.org.ini:2: runtim: is not a key of [site] (did you mean \`runtime\`?)`);
  t.match(lines.at(-1), /^4 files, [0-9]+ problems$/);
  await checkCommand(context, [], { json: true });
  t.match(JSON.parse(context.take()), { files: 4, problems: [{ file: '/etc/appfleet/appfleet.ini', line: 2 }] });
  t.equal(host.calls.size, 0, 'no systemd was needed');
});

t.test('check looks into the certificates that a site brings along', async (t) => {
  const { host, context } = fleet();
  const path = `${sites}/own.example.org.ini`;
  const own =
    '[site]\nruntime = static\nroot = /srv/a\ntls = files\ncertificate = /etc/c.pem\ncertificate_key = /etc/c.key\n';
  host.disk.set(path, own);
  host.disk.set('/etc/c.pem', 'rubbish');
  host.disk.set('/etc/c.key', 'rubbish');
  t.equal(await checkCommand(context, [], text), 2);
  t.match(
    context.take(),
    `${path}: certificate: /etc/c.pem cannot be used: there is no certificate in PEM in the file`,
  );
  host.disk.set('new.ini', own.replaceAll('/etc/c', '/etc/d'));
  t.equal(await checkCommand(context, ['new.ini'], text), 2);
});

t.test('check looks at the snippets too', async (t) => {
  const { host, context } = fleet();
  const folder = '/etc/appfleet/vhost.d';
  const put = (name: string, body: string): void => void host.disk.set(`${folder}/${name}`, body);
  const check = async (...names: string[]): Promise<string[]> => {
    const code = await checkCommand(context, names, text);
    const lines = context.take().split('\n');
    t.equal(code, lines.length > 1 ? 2 : 0);
    return lines.slice(0, -1);
  };
  put('example.org.conf', '# listen 80;\ngzip on;\nlisten 8443;\nlocation /x { add_header A "server_name x;"; }\n');
  put('example.org_location.conf', 'add_header B b;\n');
  put('example.org.conf~', 'server_name x;\n');
  t.strictSame(await check(), []);

  put('exampel.org.conf', 'gzip on;\n');
  t.match(await check(), [
    `${folder}/exampel.org.conf: is of no site, so nothing uses it (did you mean \`example.org.conf\`?)`,
  ]);
  host.disk.delete(`${folder}/exampel.org.conf`);
  put('qq.conf', '');
  t.match(await check(), [/qq.conf: is of no site.*DOMAIN_location.conf/]);
  host.disk.delete(`${folder}/qq.conf`);

  put(
    'example.org.conf',
    'gzip on;\nserver_name\n  other.org;\nlisten 127.0.0.1:80;\n"listen" [::1];\nlisten [::]:443 ssl;\n',
  );
  const lines = await check();
  t.match(lines, [
    /^.*example.org.conf:2: server_name: would take names .*aliases/,
    /^.*example.org.conf:4: listen: would take what comes in on 127.0.0.1:80 /,
    /^.*example.org.conf:5: listen: would take what comes in on \[::1\] /,
    /^.*example.org.conf:6: listen: would take what comes in on \[::\]:443 /,
  ]);
  t.equal(lines.length, 4);
  const reader = await createFleetReader(host.files)();
  t.ok(reader.keep.has('example.org'), 'and the site keeps what it has');
  put('example.org.conf', 'gzip on;\n');

  host.refused.set('example.org', 'unknown directive "gzipp"');
  t.strictSame(await check(), [`${sites}/example.org.ini: unknown directive "gzipp"`], 'nginx was asked');
  host.disk.set('other.org.ini', '[site]\nruntime = static\nroot = /srv/a\n');
  t.strictSame(await check('other.org.ini'), [], 'others are not its fault');
  host.disk.set('new/example.org.conf', 'server_name x.org;\n');
  t.match(await check('new/example.org.conf'), [/^new\/example.org.conf:1: server_name/]);
  host.disk.set('new/example.org_location.conf', 'gzipp on;\n');
  t.match(await check('new/example.org_location.conf'), [/unknown directive "gzipp"/]);
  host.refused.clear();

  const say = (error: AppFleetError): void => void (host.web.rehearse = () => Promise.reject(error));
  say(
    new AppFleetError('AF_NGINX', 'nginx refuses its own configuration: /etc/nginx/x.conf:3: bad', { hint: 'mend it' }),
  );
  t.match(await check(), [/: nginx refuses its own configuration: .*x.conf:3: bad \(mend it\)$/]);
  say(new AppFleetError('AF_FILE', 'only root can have nginx test vhosts'));
  t.equal(await checkCommand(context, [], text), 0);
  t.match(context.take(), /no problems\n! nginx was not asked about the vhosts: only root can/);
  host.web.facts = () => Promise.reject(new AppFleetError('AF_NGINX', 'nginx cannot be run'));
  t.equal(await checkCommand(context, [], { json: true }), 0);
  t.match(JSON.parse(context.take()), { problems: [], unasked: 'nginx cannot be run' });
});

t.test("check looks into the file with the CA's own root", async (t) => {
  const { host, context } = fleet();
  const settings = '/etc/appfleet/appfleet.ini';
  host.disk.set(settings, '[appfleet]\nacme_directory = https://ca.example/dir\nacme_ca_file = /etc/ca.pem\n');
  const check = async (): Promise<string> => {
    t.equal(await checkCommand(context, [], text), 2);
    return context.take();
  };
  const begin = `${settings}: acme_ca_file: /etc/ca.pem cannot be used:`;
  t.match(await check(), `${begin} there is no such file (put the CA's own root certificate there`);
  host.disk.set('/etc/ca.pem', 'rubbish');
  t.match(await check(), `${begin} there is no certificate in PEM in it`);
  const { root } = await makeAuthority();
  host.disk.set('/etc/ca.pem', root.certificatePem.replace(/\n.{20}/, '\n'));
  t.match(await check(), `${begin} certificate 1 in it cannot be read`);
  host.disk.set('/etc/ca.pem', `# two\n${root.certificatePem}${root.certificatePem}`);
  await checkCommand(context, [], text);
  t.notMatch(context.take(), /acme_ca_file/);
  host.disk.set(settings, '[appfleet]\nacme_directory = none\nacme_ca_file = /etc/nothing.pem\n');
  await checkCommand(context, [], text);
  t.notMatch(context.take(), /acme_ca_file/);
});

t.test('check of files that are not installed', async (t) => {
  const { host, context } = fleet();
  const check = async (...names: string[]): Promise<[number, string]> => [
    await checkCommand(context, names, text),
    context.take(),
  ];
  const put = (path: string, body: string): void => void host.disk.set(path, body);
  put('new.org.ini', '[site]\nruntime = node\nimage = node:20\nneeds = mysql\n');
  t.same(await check('new.org.ini'), [0, '1 file, no problems'], 'what it needs is installed');
  put('a.org.ini', '[site]\nruntime = static\nroot = /srv/a\naliases = www.example.org\n');
  const [code, said] = await check('a.org.ini');
  t.equal(code, 2);
  t.match(said, 'www.example.org is already served by');
  t.match(said, 'example.org.ini:', 'also when the other file is the one that would lose its name');
  put('repo/services/redis.ini', '[service]\nimage = redis:7\nimag = x\n');
  t.match(
    (await check('repo/services/redis.ini'))[1],
    /^repo\/services\/redis.ini:3: imag: is not a key of \[service\]/,
  );
  put('redis.ini', '[service]\nimage = redis:7\n');
  put('cache.org.ini', '[site]\nruntime = node\nimage = node:20\nneeds = redis\n');
  t.match((await check('cache.org.ini'))[1], 'there is no service redis');
  t.same(await check('cache.org.ini', 'redis.ini'), [0, '2 files, no problems'], 'together they are whole');
  put('appfleet.ini', '[appfleet]\nhttp_port = x\n');
  t.match((await check('appfleet.ini'))[1], /^appfleet.ini:2: http_port: /);
  t.match((await check('absent.org.ini'))[1], 'absent.org.ini: cannot be read: there is no such file');
  t.match((await check('new.org.ini~'))[1], 'does not end in .ini');
  put('other/new.org.ini', '');
  t.match((await check('new.org.ini', 'other/new.org.ini'))[1], 'would be the same file as new.org.ini');
  put('b.org.ini', '[site]\nruntime = static\nroot = /srv/b\naliases = www.example.org\n');
  t.match(
    (await check('a.org.ini', 'b.org.ini'))[1],
    'b.org.ini: aliases: www.example.org is already served by a.org.ini',
  );
  put(`${sites}/broken.org.ini`, 'nonsense');
  t.same(await check('new.org.ini'), [0, '1 file, no problems'], 'others are not its fault');
  t.equal((await check(`${sites}/broken.org.ini`))[0], 2);
});

t.test('site create', async (t) => {
  const { host, context } = fleet();
  for (const runtime of runtimes) {
    t.equal(await siteCreateCommand(context, `${runtime}.example.com`, runtime, {}), 0, runtime);
    t.match(context.take(), `Wrote ${sites}/${runtime}.example.com.ini`);
    t.match(host.disk.get(`${sites}/${runtime}.example.com.ini`), `\nruntime = ${runtime}\n`);
  }
  t.equal(await checkCommand(context, [], text), 0, 'each is valid as it stands');
  context.take();

  const values = { image: 'node:22', command: "sh -c 'a; b $& c'", port: '8080', aliases: 'www.shop.org' };
  t.equal(await siteCreateCommand(context, 'SHOP.org', 'node', values), 0);
  const written = host.disk.get(`${sites}/shop.org.ini`) ?? '';
  t.match(written, `\ncommand = "sh -c 'a; b $& c'"\n`, 'quoted, so that it means itself');
  t.match(written, '\naliases = www.shop.org\n');
  t.match(context.take(), 'No agent runs here');
  t.equal(await checkCommand(context, [], text), 0);
  context.take();

  const refused: [string, string, Record<string, string>, RegExp][] = [
    ['shop.org', 'node', {}, /shop.org.ini exists/],
    ['nodot', 'static', {}, /not a whole domain/],
    ['x.org', 'nod', {}, /there is no runtime nod; .*did you mean `node`/],
    ['x.org', 'static', { image: 'x' }, /image is not for runtime static/],
    ['x.org', 'node', { port: 'x' }, /x.org.ini:\d+: port: /],
    ['x.org', 'static', { aliases: 'www.example.org' }, /already served by/],
  ];
  for (const [domain, runtime, values, message] of refused) {
    t.equal(await siteCreateCommand(context, domain, runtime, values), 2, String(message));
    t.match(context.take(), message);
  }
  t.notOk(host.disk.has(`${sites}/x.org.ini`), 'nothing was written');
  host.disk.set(`${sites}/bücher.example.ini`, '');
  t.equal(await siteCreateCommand(context, 'bücher.example', 'static', {}), 2, 'one name in two spellings');
  host.active.set('appfleet.service', 'active');
  context.take();
  await siteCreateCommand(context, 'y.org', 'static', {});
  t.match(context.take(), 'The agent applies it');
});

t.test('site remove', async (t) => {
  const { host, context } = fleet();
  const path = `${sites}/gone.org.ini`;
  const body = '[site]\nruntime = php-fpm\nimage = php:8\nroot = /srv/www/gone\nvolumes = uploads:/var/uploads\n';
  host.disk.set(path, body);
  const remove = (domain: string, yes: boolean, answer: boolean | null): Promise<number> =>
    siteRemoveCommand(context, domain, { yes }, answer === null ? null : () => Promise.resolve(answer));
  t.equal(await remove('gon.org', true, null), 2);
  t.match(context.take(), 'did you mean gone.org?');
  t.equal(await remove('gone.org', false, null), 2);
  t.match(context.take(), '--yes');
  t.equal(await remove('gone.org', false, false), 2);
  t.match(context.take(), 'nothing was removed');
  t.equal(host.disk.get(path), body);

  t.equal(await remove('gone.org', false, true), 0);
  const aside = '/var/lib/appfleet/removed/gone.org-20270115T080000Z.ini';
  t.equal(host.disk.get(aside), body, 'nothing is lost');
  t.equal(host.modes.get(aside), 0o600);
  t.notOk(host.disk.has(path));
  const said = context.take();
  t.match(said, 'Kept /srv/www/gone (its files)');
  t.match(said, 'Kept uploads (its volume)');
  t.match(said, '`appfleet apply` removes its units');

  host.disk.set(path, 'nonsense');
  t.equal(await remove('gone.org', true, null), 0, 'a broken file can go as well');
  host.disk.set(path, 'caf\ufffd');
  t.equal(await remove('gone.org', true, null), 2, 'but not one that the copy would change');
});

t.test('only yes is yes', async (t) => {
  for (const [typed, expected] of Object.entries({
    'y\n': true,
    'YES\n': true,
    '\n': false,
    'no\n': false,
    '': false,
  })) {
    const input = new PassThrough();
    const asked = askOn(input, new PassThrough())('Really?');
    input.end(typed);
    t.equal(await asked, expected, JSON.stringify(typed));
  }
});

t.test('logs', async (t) => {
  const { context } = fleet();
  const ran: string[] = [];
  const logs = (word: string, follow = false, lines: number | null = null, code = 0): Promise<number> =>
    logsCommand(context, word, { follow, lines }, (argv, hear) => {
      ran.push(argv.join(' '));
      if (word === 'removed.org') hear?.('Started removed.org.service.\n');
      return Promise.resolve(code);
    });
  t.equal(await logs('www.example.org', true, 20), 0);
  t.equal(
    ran.pop(),
    'journalctl --no-hostname --unit example.org.service --unit example.org-app.service --unit example.org.socket' +
      ' --unit appfleet-wake@example.org.service --lines 20 --follow',
  );
  t.equal(await logs('mysql', false, null, 1), 1, "journalctl's exit code");
  t.equal(ran.pop(), 'journalctl --no-hostname --unit mysql.service --unit mysql-app.service');
  t.equal(await logs('removed.org'), 0);
  t.match(context.take(), 'there is no site removed.org now');
  t.match(ran.pop(), /^journalctl --no-hostname --unit removed.org.service /);
  t.match(ran.pop(), /^journalctl --quiet --output cat --lines 1 --unit removed.org.service /);
  t.equal(await logs('exampel.org', true), 2, 'a name that the journal does not know either');
  t.equal(context.take(), '! there is no site exampel.org; did you mean example.org?');
  t.match(ran.pop(), /^journalctl --quiet /, 'nothing is followed that never comes');
  t.equal(await logs('--output=cat'), 2);
  t.same(ran, [], 'a word that is no name reaches nobody');
});

t.test('help and schema', async (t) => {
  const { context } = fleet();
  for (const { kind, keys } of Object.values(fileKinds)) {
    t.equal(await helpCommand(context, kind, text), 0);
    const said = context.take();
    for (const key of Object.keys(keys)) t.match(said, `  ${key} = `);
    await helpCommand(context, kind, { json: true });
    t.match(JSON.parse(context.take()), { $schema: /^https:/, type: 'object' });
  }
  await schemaCommand(context);
  t.match(JSON.parse(context.take()), { $defs: { site: {}, service: {}, settings: {} } });
});

t.test('completion knows the command line', async (t) => {
  const { context } = fleet();
  for (const shell of ['bash', 'fish']) {
    t.equal(await completionCommand(context, shell), 0);
    const installed = readFileSync(new URL(`../../units/completion.${shell}`, import.meta.url), 'utf8');
    t.equal(installed.trimEnd(), context.take(), `appfleet completion ${shell} > units/completion.${shell}`);
  }
  t.equal(await completionCommand(context, 'csh'), 2);
  context.take();

  const run = createProgram(context, process);
  const helpOf = async (words: string): Promise<string> => {
    await run([...words.split(' ').filter((word) => word !== ''), '--help']);
    return context.take();
  };
  const commandsIn = (help: string): string[] => {
    const [, list = ''] = help.split('Commands:\n');
    return [...list.matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name ?? '');
  };
  const general = ['help', 'version'];
  const optionsIn = (help: string): string[] =>
    [...help.matchAll(/^ {2}(?:-\w, )?--([\w-]+)/gm)]
      .map(([, name]) => name ?? '')
      .filter((name) => !general.includes(name));
  // What nobody types by hand.
  const internal = ['run', 'completion'];
  const top = commandsIn(await helpOf('')).filter((name) => !internal.includes(name));
  t.same(top.sort(), completedCommands.flatMap(({ words }) => (words.includes(' ') ? [] : [words])).sort());
  for (const { words, options } of completedCommands) {
    const help = await helpOf(words);
    t.same(optionsIn(help).sort(), Object.keys(options ?? {}).sort(), words);
  }
});

t.test('every way of asking for help or the version', async (t) => {
  const { context } = fleet();
  const run = createProgram(context, process);
  for (const words of [['version'], ['--version'], ['-V']]) {
    t.equal(await run(words), 0);
    t.equal(context.take(), '1.2.3');
  }
  const same = async (...ways: string[]): Promise<void> => {
    const said: string[] = [];
    for (const way of ways) {
      t.equal(await run(way.split(' ')), 0, way);
      said.push(context.take());
    }
    const [first = '', ...others] = said;
    t.match(first, /^Usage: appfleet /, ways.join(', '));
    for (const other of others) t.equal(other, first, ways.join(' = '));
  };
  await same('help', '--help', '-h');
  await same('help status', 'status --help', 'status -h');
  await same('help cert', 'cert --help');
  await same('help cert renew', 'cert renew --help');
  await same('help site create', 'site create --help');
  await same('help help', 'help --help');
  t.equal(await run(['help', 'site']), 0);
  t.match(context.take(), '  runtime = ', 'the file, not the command');
  const close = async (topic: string, meant: string): Promise<void> => {
    t.equal(await run(['help', ...topic.split(' ')]), 2);
    t.match(context.take(), `did you mean \`appfleet help ${meant}\`?`);
  };
  await close('sites', 'site');
  await close('statsu', 'status');
  await close('cert renw', 'cert renew');
  t.equal(await run(['help', 'qqq']), 2);
  t.notMatch(context.take(), 'did you mean');
});

t.test('bash completes what has been typed so far', async (t) => {
  const complete = async (line: string): Promise<string[]> => {
    const script =
      'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _appfleet; printf "%s\\n" "${COMPREPLY[@]}"';
    const completions = fileURLToPath(new URL('../../units/completion.bash', import.meta.url));
    const { stdout } = await promisify(execFile)('bash', ['-c', script, completions, 'appfleet', ...line.split(' ')]);
    return stdout.split('\n').filter((word) => word !== '');
  };
  t.strictSame(await complete('sta'), ['status']);
  t.strictSame(await complete('--v'), ['--version']);
  t.strictSame(await complete('plan --'), ['--json', '--help']);
  t.strictSame(await complete('cert i'), ['issue', 'import']);
  t.strictSame(await complete('cert list --e'), ['--expiring']);
  t.strictSame(await complete('cert revoke --reason s'), ['superseded']);
  t.strictSame(await complete('site create --runtime p'), ['php-fpm']);
  t.strictSame(await complete('help s'), ['site', 'service', 'settings', 'status', 'sleep']);
});
