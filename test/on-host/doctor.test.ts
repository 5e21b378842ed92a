/** What admins break most often, really broken: `appfleet doctor` names it, and what it says to do mends it. */
import t from 'tap';
import { pause, testHost } from './support.ts';

const fleet = testHost();
const { host } = fleet;
const site = 'app.doctor.example';

interface Finding {
  subject: string;
  link: string;
  mark: string;
  detail: string;
  hint?: string;
}

/** Links that are broken, the first of them first, and the seconds that it took to name them. */
const broken = async (): Promise<{ found: Finding[]; seconds: number }> => {
  const began = performance.now();
  const { stdout } = await host.run(['appfleet', 'doctor', site, '--json'], { allowFail: true });
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  return { found: findings.filter(({ mark }) => mark === 'broken'), seconds: (performance.now() - began) / 1000 };
};

const serves = async (): Promise<boolean> => {
  for (let tries = 0; tries < 50; tries++, await pause(200)) if ((await fleet.ask(site)).status === 200) return true;
  return false;
};

t.before(async () => {
  await fleet.putSite(site, 'runtime = node\nimage = demo/node-app\nhealth = /');
  await fleet.apply();
  await fleet.ask(site);
});
t.teardown(async () => {
  await fleet.removeSite(site);
  await fleet.apply();
});

t.test('nothing is broken', async (t) => {
  t.strictSame((await broken()).found, []);
});

const cases: { what: string; trouble: string; subject: string; link: string; detail: RegExp; mend: string }[] = [
  {
    what: 'a paused container',
    trouble: `docker pause ${site}`,
    subject: site,
    link: 'container',
    detail: /^it is paused/,
    mend: `docker unpause ${site}`,
  },
  {
    what: 'no agent, and a socket that was stopped',
    trouble: `systemctl stop appfleet; systemctl stop ${site}.socket`,
    subject: site,
    link: 'socket',
    detail: /socket is inactive$/,
    mend: `systemctl start appfleet; systemctl restart ${site}.socket`,
  },
  {
    what: 'no /run/appfleet',
    trouble: 'rm -rf /run/appfleet',
    subject: 'host',
    link: 'folders',
    detail: /^\/run\/appfleet is missing/,
    mend: 'systemd-tmpfiles --create; systemctl restart appfleet.socket appfleet',
  },
  {
    what: 'no /var/lib/appfleet',
    // A running agent makes it anew.
    trouble: 'systemctl stop appfleet; mv /var/lib/appfleet /var/lib/appfleet.away',
    subject: 'host',
    link: 'folders',
    detail: /^\/var\/lib\/appfleet is missing/,
    mend: 'rm -rf /var/lib/appfleet; mv /var/lib/appfleet.away /var/lib/appfleet; systemctl start appfleet',
  },
  {
    what: 'another program on the port',
    trouble:
      'systemctl stop nginx; systemd-run --collect --unit doctor-port perl -MIO::Socket::INET -e ' +
      "'$$s = IO::Socket::INET->new(Listen => 5, LocalPort => 80, ReuseAddr => 1) or die; sleep 100'; sleep 1",
    subject: 'host',
    link: 'nginx',
    detail: /^port 80 belongs to perl \(process \d+\): nginx cannot start$/,
    mend: 'systemctl stop doctor-port; systemctl start nginx',
  },
  {
    what: 'no nginx',
    trouble: 'systemctl stop nginx',
    subject: 'host',
    link: 'nginx',
    detail: /^it does not run$/,
    mend: 'systemctl start nginx',
  },
  {
    what: 'a Docker that hangs',
    trouble: 'kill -STOP $(pidof dockerd)',
    subject: 'host',
    link: 'docker',
    detail: /^no answer within 8 s$/,
    mend: 'kill -CONT $(pidof dockerd)',
  },
  {
    what: 'no agent',
    trouble: 'systemctl stop appfleet',
    subject: 'host',
    link: 'agent',
    detail: /^it does not run/,
    mend: 'systemctl start appfleet',
  },
];

for (const { what, trouble, subject, link, detail, mend } of cases)
  t.test(what, async (t) => {
    await host.run(['sh', '-c', trouble], { allowFail: true });
    try {
      const { found, seconds } = await broken();
      const causes = found.filter((one) => one.link !== 'agent' || link === 'agent');
      t.match(causes[0], { subject, link, detail }, JSON.stringify(found));
      t.ok(seconds < 11, `named after ${seconds.toFixed(1)} s`);
      t.not(causes[0]?.hint, undefined, 'with what to do');
    } finally {
      await host.run(['sh', '-c', mend], { allowFail: true });
    }
    t.ok(await serves(), 'and that helps');
  });
