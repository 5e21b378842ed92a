/** The package on bare hosts: one file is enough, upgrades lose no request, removal leaves what is the admin's. */
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { bootHost } from '../host/boot.ts';
import { fleetOn, settingsFile, testSettings } from '../host/fleet.ts';
import { RELEASES } from '../host/release.ts';
import type { TestHost } from '../host/test-host.ts';
import { buildImages } from '../images/build.ts';

t.setTimeout(600_000);
const repository = fileURLToPath(new URL('../..', import.meta.url));
const folder = t.testdir();
const ignore = (): void => undefined;

/** Builds a package with this machine's Node; the one from the registry would be the same in all that is tested here. */
const build = (version: string, out: string): string => {
  execFileSync(
    process.execPath,
    ['package.mjs', '--node', process.execPath, '--version', version, '--out', `${folder}/${out}`],
    { cwd: repository, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  return `${folder}/${out}/${readdirSync(`${folder}/${out}`).find((name) => name.startsWith(`appfleet_${version}_`)) ?? ''}`;
};

const old = build('1.0.0', 'a');
const newer = build('1.1.0', 'a');

t.test('the same sources give the same bytes', (t) => {
  t.ok(readFileSync(build('1.0.0', 'b')).equals(readFileSync(old)));
  t.end();
});

const app = 'app.package.test';
const closed = 'closed.package.test';
const www = 'www.package.test';

/** Requests without a pause until the file `stop` is there; the codes that were no 200. */
const load = (host: TestHost, site: string): Promise<string> =>
  host
    .run(
      [
        'sh',
        '-c',
        `n=0; while [ ! -e /run/stop ]; do n=$((n + 1)); code=$(curl -s -m 30 -o /dev/null -w '%{http_code}' -H 'Host: ${site}' http://127.0.0.1/); [ "$code" = 200 ] || echo "$code"; done; echo "$n requests" >&2`,
      ],
      { timeoutMs: 300_000 },
    )
    .then(({ stdout, stderr }) => `${stdout}${Number.parseInt(stderr, 10) > 20 ? '' : `only ${stderr}`}`.trim());

for (const release of RELEASES)
  t.test(`on Debian ${release}`, async (t: Test) => {
    const host = await bootHost({ name: `package-${release}-${process.pid}`, release, log: ignore });
    t.teardown(() => host.down());
    const fleet = fleetOn(host);
    const sh = async (script: string): Promise<string> => (await host.run(['bash', '-c', script], {})).stdout.trim();
    const install = (deb: string) =>
      host.run(['sh', '-c', `DEBIAN_FRONTEND=noninteractive apt-get install --yes ${deb} 2>&1`], {
        allowFail: true,
        timeoutMs: 120_000,
      });
    await buildImages(host, ['demo/node-app'], ignore);
    await host.copyIn(old, '/root/old.deb');
    await host.copyIn(newer, '/root/new.deb');
    await host.write('/srv/www/package/index.html', 'static');

    await t.test('apt install and one file', async (t) => {
      const { code, stdout } = await install('/root/old.deb');
      t.equal(code, 0, code === 0 ? 'it is installed' : stdout);
      t.match(stdout, /disabled nginx's stock site/);
      t.equal(await fleet.unit('appfleet.service'), 'active');
      t.equal(await fleet.unit('appfleet-renew.timer'), 'active');
      t.equal(await sh('systemctl is-enabled appfleet.socket'), 'enabled');
      // Nobody outside is asked for certificates.
      await host.write(settingsFile, testSettings);
      await fleet.putSite(app, 'runtime = node\nimage = demo/node-app\nidle = 1h');
      await fleet.putSite(closed, 'runtime = node\nimage = demo/node-app');
      await fleet.putSite(www, 'runtime = static\nroot = /srv/www/package');
      t.equal((await fleet.apply()).code, 0);
      for (const site of [app, www]) t.equal((await fleet.ask(site)).status, 200, site);
      await sh(`systemctl stop ${closed}`);
      // The hosts of these tests are built without manuals and documents.
      t.equal(await sh("dpkg --verify appfleet | grep -v ' /usr/share/' || true"), '', 'nothing was changed in it');
      t.match(
        await sh('dpkg-deb --fsys-tarfile /root/old.deb | tar -xO ./usr/share/man/man8/appfleet.8.gz | zcat'),
        /TH APPFLEET 8/,
      );
    });

    await t.test('an upgrade loses no request', async (t) => {
      const before = await sh('systemctl show -P MainPID appfleet');
      const clients = [app, www].map((site) => load(host, site));
      const sleeper = host.run(
        ['bash', '-c', `while [ ! -e /run/stop ]; do appfleet sleep ${app} >/dev/null 2>&1; sleep 0.3; done; true`],
        { timeoutMs: 300_000 },
      );
      const { code, stdout } = await install('/root/new.deb');
      await sh('sleep 2; touch /run/stop');
      t.equal(code, 0, code === 0 ? 'it is installed' : stdout);
      t.strictSame(await Promise.all(clients), ['', ''], 'every answer was 200');
      await sleeper;
      t.equal(await sh("dpkg-query -W -f '${Version}' appfleet"), '1.1.0');
      t.not(await sh('systemctl show -P MainPID appfleet'), before, 'the new agent runs');
      t.equal(await fleet.unit(`${closed}.service`), 'inactive', 'what was stopped stays stopped');
    });

    await t.test('an older version is refused, with the reason', async (t) => {
      const { code, stdout } = await host.run(['sh', '-c', 'dpkg --install /root/old.deb 2>&1'], { allowFail: true });
      t.not(code, 0);
      t.match(stdout, /version 1\.1\.0 is installed and newer than 1\.0\.0/);
      t.equal((await fleet.ask(app)).status, 200, 'and nothing happened');
    });

    await t.test('who is removed takes what is its own, and no more', async (t) => {
      await sh('dpkg --remove appfleet');
      t.equal(
        await sh(
          "find /etc/systemd /etc/nginx /run/systemd/transient -name '*package.test*' -o -name '*appfleet*.conf'; docker ps -aq",
        ),
        '',
      );
      t.equal(await sh('nginx -t -q && cat /etc/appfleet/sites/*.ini | grep -c runtime'), '3', 'the files stay');
      t.equal(await sh("systemctl list-units --failed --plain --no-legend '*package.test*' 'appfleet*'"), '');
      const { code, stdout } = await install('/root/new.deb');
      t.equal(code, 0, code === 0 ? 'it is installed' : stdout);
      t.equal((await fleet.apply()).code, 0);
      t.equal((await fleet.ask(app)).status, 200, 'a new one makes everything again');
    });

    await t.test('who is purged leaves the files of the admin', async (t) => {
      await sh('dpkg --purge appfleet');
      t.equal(
        await sh('find /etc/appfleet -type f | sort | xargs'),
        [app, closed, www].map((s) => `/etc/appfleet/sites/${s}.ini`).join(' '),
      );
      t.equal(await sh('ls -d /var/lib/appfleet /usr/lib/appfleet /run/appfleet 2>/dev/null || true'), '');
      t.equal(await sh('readlink -f /etc/nginx/sites-enabled/default'), '/etc/nginx/sites-available/default');
      t.equal(
        await sh('nginx -t -q && nginx -s reload && curl -s -o /dev/null -w "%{http_code}" http://127.0.0.1/'),
        '200',
      );
    });
  });
