/** What every release must be able to do, from the playbook to the removal of a site, as an admin would go about it. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { provision } from '../host/provision.ts';
import { contradictions, createWatch, testHost, until } from './support.ts';

const fleet = testHost();
const { host } = fleet;
const watch = createWatch(host);
const domain = (name: string): string => `${name}.main.example`;
const [blog, app, tool, www] = [domain('blog'), domain('app'), domain('tool'), domain('www')];
const sites = [blog, app, tool, www];
const folder = '/srv/main-path';
const secrets = '/etc/appfleet/.env';

const files: Readonly<Record<string, string>> = {
  [app]: 'runtime = node\nimage = demo/node-app\nidle = 2s',
  [tool]: 'runtime = container\nimage = demo/http\nport = 3000\nidle = 2s\nstop_timeout = 1s',
  [www]: `runtime = static\nroot = ${folder}/www`,
  [blog]: `[site]
runtime = php-fpm
image = wordpress:fpm
root = ${folder}/blog
volumes = /run/mysqld:/run/mysqld
needs = mysql
network = none
idle = 2s
env_file = /etc/appfleet/${blog}.env
[env]
WORDPRESS_DB_HOST = localhost:/run/mysqld/mysqld.sock
WORDPRESS_DB_USER = root
WORDPRESS_DB_NAME = blog
`,
};
const mysql = `[service]
image = mariadb:latest
aliases = mariadb, mysqld
ready = socket:/run/mysqld/mysqld.sock
volumes = ${folder}/mysql:/var/lib/mysql, /run/mysqld:/run/mysqld
network = none
env_file = ${secrets}
[env]
MYSQL_DATABASE = blog
`;

/** What a shell script prints, trimmed; a failure throws. */
const sh = async (script: string): Promise<string> => (await host.sh(script, { timeoutMs: 120_000 })).stdout.trim();
const codeOf = async (...argv: string[]): Promise<number> => (await host.run(argv, { allowFail: true })).code;
const settles = async (name: string, state: string, seconds = 30): Promise<string[]> => {
  const sight = await watch
    .waitFor(name, `is ${state}`, (sight) => contradictions(sight, state).length === 0, seconds)
    .catch(() => null);
  return contradictions(sight ?? (await watch.look()).of(name), state);
};
const startedAt = (name: string): Promise<string> => sh(`docker inspect --format '{{.State.StartedAt}}' ${name}`);
const nothingToDo = 'Nothing to do: the host is as the files say.';
const plan = async (): Promise<string> => (await host.run(['appfleet', 'plan'])).stdout.trim();

t.teardown(async () => {
  await host.sh(
    `rm -f /etc/appfleet/sites/*.main.example.ini /etc/appfleet/services/mysql.ini /etc/appfleet/*.main.example.env`,
  );
  await fleet.apply();
  await host.sh(`rm -rf ${folder} ${secrets} /var/lib/appfleet/removed`);
});

t.test('a second run of the playbook changes nothing', async (t) => {
  t.strictSame((await provision(host, () => undefined)).changed, []);
  t.equal(await codeOf('systemctl', 'is-active', '--quiet', 'appfleet.service'), 0, 'the agent runs');
  t.equal(await codeOf('systemctl', 'is-enabled', '--quiet', 'appfleet.service'), 0, 'and will after a reboot');
});

t.test('files become sites', async (t) => {
  await host.sh(`rm -rf ${folder} ${secrets}; mkdir -p ${folder}/www ${folder}/blog`);
  await host.write(`${folder}/www/index.html`, '<h1>only files</h1>\n');
  await fleet.putService('mysql', mysql);
  t.equal((await fleet.apply()).code, 0, 'the database is applied');
  t.match(await sh(`stat -c '%a %U' ${secrets}`), '600 root', 'a file of secrets has been made');
  const password = /^MYSQL_ROOT_PASSWORD=(.{16,})$/m.exec(await host.read(secrets))?.[1] ?? '';
  t.not(password, '', 'with a long password');
  await host.write(`/etc/appfleet/${blog}.env`, `WORDPRESS_DB_PASSWORD=${password}\n`, 0o600);
  for (const name of sites) await fleet.putSite(name, files[name] ?? '');
  t.equal(await codeOf('appfleet', 'check'), 0, 'appfleet check finds no problem');
  t.equal((await fleet.apply()).code, 0, 'the sites are applied');
  t.equal(await plan(), nothingToDo, 'the second plan is empty');
});

t.test('each runtime is served', async (t) => {
  const hello = await fleet.ask(app);
  t.match(hello, { status: 200, body: /Hello from/ }, 'node');
  t.match(await fleet.ask(tool, '/x'), { status: 200, body: /GET \/x from/ }, 'container');
  t.match(await fleet.ask(www), { status: 200, body: /only files/ }, 'static');
  const front = await fleet.ask(blog);
  t.match(
    front,
    { status: 302, headers: { location: /\/wp-admin\/install\.php$/ } },
    'WordPress wants to be installed',
  );
  const install = await fleet.ask(blog, '/wp-admin/install.php');
  t.match(
    install,
    { status: 200, body: /WordPress.*weblog_title/s },
    'and has connected to MariaDB through its socket',
  );
  t.match(await fleet.ask('nobody.example'), { status: 404 }, 'an unknown Host is refused');
  t.equal(await sh(`docker inspect --format '{{.HostConfig.NetworkMode}}' ${blog}`), 'none');
});

t.test('who is not visited falls asleep, who is asked for wakes', async (t) => {
  for (const name of [blog, app, tool]) t.strictSame(await settles(name, 'asleep'), [], `${name} sleeps`);
  t.match(
    await fleet.ask(blog, '/wp-includes/css/buttons.css'),
    { status: 200, body: /\.button/ },
    'a file of WordPress',
  );
  t.strictSame(await settles(blog, 'asleep'), [], 'wakes nobody');
  t.equal((await fleet.ask(app)).status, 200);
  t.strictSame(await settles(app, 'awake'), [], `${app} is awake`);
  t.equal((await watch.look()).of('mysql').app, 'active', 'a database does not sleep by itself');
});

t.test('service start, stop, restart and status mean what they say', async (t) => {
  t.equal(await codeOf('service', app, 'stop'), 0, 'stop');
  t.strictSame(await settles(app, 'stopped'), [], 'stopped');
  t.match(await fleet.ask(app), { status: 503, headers: { 'retry-after': /\d/ } }, 'closed, come back later');
  t.equal(await codeOf('service', app, 'status'), 3, 'status of a stopped site');
  t.equal(await codeOf('service', app, 'start'), 0, 'start');
  t.equal((await fleet.ask(app)).status, 200);
  t.strictSame(await settles(app, 'awake'), []);
  const before = await startedAt(app);
  t.equal(await codeOf('service', app, 'restart'), 0, 'restart');
  t.not(await startedAt(app), before, 'it is another run of the container');
  t.equal((await fleet.ask(app)).status, 200);
  t.equal(await codeOf('service', app, 'status'), 0, 'status of an open site');
  t.equal(await codeOf('service', www, 'stop'), 0);
  t.equal((await fleet.ask(www)).status, 503, 'files can be closed too');
  t.equal(await codeOf('service', www, 'start'), 0);
  t.equal((await fleet.ask(www)).status, 200);
  for (const alias of ['mysql', 'mariadb', 'mysqld']) t.equal(await codeOf('service', alias, 'status'), 0, alias);
});

t.test('the journal of a site has what its container prints', async (t) => {
  t.match(await sh(`journalctl --no-pager --output=cat --unit=${app}`), /^listening, pid 1$/m);
  t.match(await sh('journalctl --no-pager --output=cat --unit=mysql'), /ready for connections/);
  // It shows what came since the site was opened.
  await host.run(['systemctl', 'stop', `${app}-app.service`]);
  t.equal((await fleet.ask(app)).status, 200);
  t.match(
    await sh(`systemctl status --no-pager --lines=50 ${app} || true`),
    /listening, pid 1/,
    'systemctl status, too',
  );
});

t.test('who needs a database goes down and comes up with it', async (t) => {
  t.equal((await fleet.ask(blog, '/wp-admin/install.php')).status, 200);
  t.equal(await codeOf('service', 'mariadb', 'stop'), 0, 'stopped by another of its names');
  t.equal((await watch.look()).of('mysql').app, 'inactive');
  t.strictSame(await settles(blog, 'asleep'), [], 'the site has no container any more');
  t.match(await fleet.ask(blog, '/wp-login.php'), { status: 503, headers: { 'retry-after': /\d/ } }, 'nor can it wake');
  t.equal(await codeOf('service', 'mysql', 'start'), 0);
  await until('WordPress answers', async () => (await fleet.ask(blog, '/wp-admin/install.php')).status === 200, 10);
  t.ok((await startedAt(blog)) > (await startedAt('mysql')), 'the database came first');

  await host.run(['docker', 'restart', 'mysql']);
  await until('WordPress answers', async () => (await fleet.ask(blog, '/wp-admin/install.php')).status === 200, 20);
  t.ok((await startedAt(blog)) > (await startedAt('mysql')), 'also when the database was restarted behind our back');

  await host.run(['systemctl', 'stop', 'mysql-app.service']);
  t.strictSame(await settles(blog, 'asleep'), []);
  t.equal((await fleet.ask(blog, '/wp-admin/install.php')).status, 200, 'a request wakes the database first');
});

t.test('kill -9 of the database loses no committed row', async (t) => {
  const password = /^MYSQL_ROOT_PASSWORD=(.*)$/m.exec(await host.read(secrets))?.[1] ?? '';
  /** Rows from many statements, one connection; each line that comes back is one more committed row. */
  const client = ['run', '--rm', '-i', '--network=none', '-v', '/run/mysqld:/run/mysqld', '-e', 'MYSQL_PWD'];
  const sql = (statements: string): Promise<string> =>
    host
      .run(['docker', ...client, 'mariadb:latest', 'mariadb', '-uroot', '-N', '-B', '-n'], {
        input: statements,
        env: { MYSQL_PWD: password },
        allowFail: true,
      })
      .then(({ stdout }) => stdout);
  await sql(
    'CREATE DATABASE IF NOT EXISTS bank; CREATE TABLE bank.paid (who INT, number INT, PRIMARY KEY (who, number));',
  );
  const most = 200_000;
  const writing = [0, 1, 2].map((who) =>
    sql(
      Array.from({ length: most }, (_, i) => `INSERT INTO bank.paid VALUES (${who},${i + 1});SELECT ${i + 1};\n`).join(
        '',
      ),
    ),
  );
  await until('rows are written', async () => Number(await sql('SELECT COUNT(*) FROM bank.paid')) > 1000, 60);
  const before = await startedAt('mysql');
  await host.run(['docker', 'kill', '--signal=KILL', 'mysql']);
  const told = (await Promise.all(writing)).map((text) => text.trim().split('\n').length);
  await until('the database is back', async () => (await sql('SELECT 1')).trim() === '1', 60);
  t.not(await startedAt('mysql'), before, 'it was restarted');
  for (const [who, count] of told.entries()) {
    t.ok(count > 10 && count < most, `writer ${who} was told of ${count} rows, then cut off`);
    const kept = await sql(`SELECT COUNT(*) FROM bank.paid WHERE who = ${who} AND number <= ${count}`);
    t.equal(Number(kept), count, 'all of which are there');
  }
  t.equal((await fleet.ask(blog, '/wp-admin/install.php')).status, 200, 'the site goes on');
});

t.test('what somebody edited by hand is made good again', async (t) => {
  const edited = [`/etc/systemd/system/${app}-app.service`, `/etc/nginx/appfleet/${app}.conf`];
  const before = await Promise.all(edited.map((path) => host.read(path)));
  for (const path of edited) await host.sh(`echo '# by hand' >>${path}`);
  t.match(await plan(), new RegExp(`rewrite ${edited[0]}[\\s\\S]*install ${app}`), 'the plan says so');
  t.equal((await fleet.apply()).code, 0);
  t.strictSame(await Promise.all(edited.map((path) => host.read(path))), before);
  t.equal(await plan(), nothingToDo);
});

t.test('secrets stay where they belong', async (t) => {
  const password = /^MYSQL_ROOT_PASSWORD=(.*)$/m.exec(await host.read(secrets))?.[1] ?? '';
  t.ok(password.length >= 16);
  const told = async (what: string, script: string): Promise<void> => {
    const text = await sh(script);
    t.ok(text.length > 20, `${what} says something`);
    t.notOk(text.includes(password), `${what} keeps quiet about the password`);
  };
  await told('the journal', 'journalctl --no-pager --output=export --boot');
  await told(
    'systemd',
    `systemctl show ${sites.map((s) => `${s}.service ${s}-app.service ${s}.socket`).join(' ')} 'mysql*'`,
  );
  await told('a label', `docker inspect --format '{{json .Config.Labels}}' mysql ${blog}`);
  await told('the status', 'appfleet status; appfleet status --json || true; appfleet status mysql || true');
  await fleet.putSite(blog, `${files[blog] ?? ''}EXTRA = 1\n`);
  await told('a plan', 'appfleet plan; appfleet plan --json');
  await told('what is applied', 'appfleet apply 2>&1');
  await fleet.putSite(blog, files[blog] ?? '');
  await fleet.apply();
  const api = 'curl -sS --unix-socket /run/appfleet/agent.sock http://localhost/v1';
  await told('the API', `${api}/status; ${api}/metrics`);
  const nobody = 'setpriv --reuid=65534 --regid=65534 --clear-groups';
  const read = `${nobody} grep -rsIlFe '${password}' --devices=skip /etc /run /var/lib /usr/lib/appfleet || true`;
  t.equal(await sh(read), '', 'no file that others may read has it');
  t.equal(await sh(`ps -eo args | grep -F -- '${password}' | grep -v grep || true`), '', 'no command line has it');
});

t.test('Docker listens on its unix socket only', async (t) => {
  t.equal(await sh("ss -Hltn | grep -E ':237[56]\\b' || true"), '');
  t.equal(await sh('stat -c %a /run/docker.sock'), '660');
});

t.test('a removed site leaves nothing behind', async (t) => {
  await fleet.removeSite(tool);
  await host.run(['appfleet', 'site', 'remove', www, '--yes']);
  t.equal((await fleet.apply()).code, 0);
  const traces = (name: string): Promise<string> =>
    sh(`
      find /etc /run /var/lib/appfleet /var/lib/nginx -xdev -name '*${name}*' -not -path '/var/lib/appfleet/removed/*'
      grep -rl '${name}' /etc/nginx /etc/systemd /var/lib/appfleet --exclude-dir=removed || true
      systemctl list-units --all --plain --no-legend '*${name}*'
      docker ps --all --quiet --filter 'name=${name}'
      pgrep -fa '${name}' | grep -v pgrep | grep -v 'find /etc' || true`);
  for (const name of [tool, www]) {
    t.equal(await traces(name), '', name);
    t.equal((await fleet.ask(name)).status, 404, `${name} is nobody's name any more`);
  }
  t.equal((await fleet.ask(app)).status, 200, 'the others go on');
  t.equal(await plan(), nothingToDo);
});

t.test('nothing is wrong in the end', async (t) => {
  const { stdout } = await host.run(['systemctl', 'list-units', '--failed', '--plain', '--no-legend'], {});
  t.equal(stdout.trim(), '', 'no unit is failed');
  const version = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  t.match(await sh('appfleet version'), version.version);
});
