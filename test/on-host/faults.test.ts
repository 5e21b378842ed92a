/** What goes wrong on a real host, on purpose: bad files, killed agents, full disks, dead daemons, containers that cannot run. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { badFiles, badNames } from './clients/bad-files.ts';
import { folder, openHost, pause, until, type Target } from './clients/on-host.ts';

t.setTimeout(420_000);
const on = await openHost('on-host-faults');
const { http, sh } = on;

const sites = '/etc/appfleet/sites';
const fixed = (root: string, more = ''): string => `[site]\nruntime = static\nroot = ${root}\n${more}`;
const program = (more = '', env = '', idle = '2s'): string => `[site]
runtime = node
image = demo/node-app
command = node ${folder}/app.cjs
volumes = ${folder}:${folder}:ro
stop_timeout = 1s
idle = ${idle}
${more}
[env]
${env}
`;

const sha = (text: string): string => createHash('sha256').update(text).digest('hex');

const applied = async (): Promise<void> => {
  const { code, stdout, stderr } = await on.apply();
  if (code !== 0) throw new Error(`appfleet apply: ${code}\n${stdout}${stderr}`);
};
const nothingLeft = async (): Promise<boolean> =>
  (await on.host.run(['appfleet', 'plan'], { allowFail: true })).stdout.startsWith('Nothing to do');
const agent = (verb: 'start' | 'stop'): Promise<unknown> => sh(`systemctl ${verb} appfleet.service`);

/** Everything on the host that has to do with names that match, and every temporary file of ours. */
const traces = async (pattern: string): Promise<string[]> => {
  const found = await sh(`
    find /etc/systemd/system /etc/nginx /var/lib/appfleet /run/appfleet -name '${pattern}*' -o -name '.appfleet-*.tmp' -o -name 'appfleet-test.conf'
    systemctl list-units --all --plain --no-legend '${pattern}*' 'appfleet-wake@${pattern}*' | cut -d' ' -f1
    docker ps --all --format '{{.Names}}' --filter 'name=${pattern.replaceAll('*', '')}'`);
  return found.split('\n').filter(Boolean);
};

t.before(() => on.clear('.test'));
t.afterEach(async () => {
  await on.clear('.test');
});
t.teardown(async () => {
  await agent('start');
  await on.clear('.test');
});

t.test('bad site files hurt nobody', async (t) => {
  const site = (name: string): string => `${name}.files.test`;
  /** Status and X-Version of each of these sites, in one go. */
  const versions = async (names: readonly string[]): Promise<Map<string, string>> => {
    const format = '%{http_code} %header{x-version}\\n';
    const lines = await sh(
      `for n in ${names.join(' ')}; do curl -s -o /dev/null -w '${format}' -H "Host: $n.files.test" http://127.0.0.1/page.txt; done`,
    );
    return new Map(lines.split('\n').map((line, index) => [names[index] ?? '', line]));
  };
  const badNamesOf = badFiles.map(({ name }) => name);
  const old = fixed('/srv/files', '[headers]\nX-Version = old\n');
  await sh(`mkdir -p /srv/files; echo page >/srv/files/page.txt
    printf '[Unit]\\nDescription=not ours\\n[Service]\\nExecStart=/bin/true\\n' >/etc/systemd/system/foreign.files.test.service`);
  await on.putSite(site('good'), old);
  await on.putSite(site('app'), program());
  for (const { name } of badFiles) await on.putSite(site(name), old);
  await applied();
  t.equal((await http(site('app'))).status, 200);
  const stamp = (): Promise<string> =>
    sh(
      `stat -c '%n %i' /etc/nginx/appfleet/good.files.test.conf /etc/nginx/appfleet/app.files.test.conf /etc/systemd/system/app.files.test*; docker inspect -f '{{.Id}}' app.files.test`,
    );
  const before = await stamp();

  for (const { name, put } of badFiles) {
    const path = `${sites}/${site(name)}.ini`;
    if (typeof put === 'string') await on.host.write(path, put);
    else await on.host.run(['sh', '-euc', put.script, 'put', path]);
  }
  for (const { file } of badNames)
    await on.host.write(
      `${sites}/${file}.ini`,
      fixed('/srv/files', file.startsWith('zz') ? 'aliases = good.files.test\n' : ''),
    );
  await on.putSite('bücher.files.test', fixed('/srv/files'));
  await on.putSite('tool.files.sh', fixed('/srv/files'));

  const pass = await on.apply();
  t.equal(pass.code, 2, 'apply says that files have problems');
  const check = await on.host.run(['appfleet', 'check', '--json'], { allowFail: true });
  t.equal(check.code, 2, 'so does check');
  interface Told {
    file: string;
    line?: number;
    key?: string;
    message: string;
    hint?: string;
  }
  const { problems } = JSON.parse(check.stdout) as { problems: Told[] };
  const about = (file: string): Told[] => problems.filter((one) => one.file === `${sites}/${file}.ini`);
  const served = await versions(badNamesOf);
  for (const { name, says, line, key } of badFiles) {
    const told = about(site(name));
    if (says === null) t.same(told, [], `${name}: is no problem`);
    else {
      const found = told.find(
        (one) => says.test(`${one.message} ${one.hint ?? ''}`) && (key === undefined || one.key === key),
      );
      t.ok(found, `${name}: ${found?.message ?? JSON.stringify(told)}`);
      if (line !== undefined) t.equal(found?.line, line, `${name}: names line ${line}`);
    }
    t.equal(served.get(name), says === null ? '200 new' : '200 old', `${name}: serves what it had`);
  }
  for (const { file, says } of badNames) {
    const told = about(file);
    t.ok(
      told.some(({ message, hint }) => says.test(`${message} ${hint ?? ''}`)),
      `${file}: ${told[0]?.message ?? 'nothing said'}`,
    );
  }
  const known = new Set([
    ...badFiles.filter(({ says }) => says !== null).map(({ name }) => site(name)),
    ...badNames.map(({ file }) => file),
  ]);
  t.same(
    problems.filter(({ file }) => !known.has(file.slice(sites.length + 1, -'.ini'.length))),
    [],
    'nobody else is blamed',
  );
  const lines = (await on.host.run(['appfleet', 'check'], { allowFail: true })).stdout;
  t.match(lines, `${sites}/semicolon.files.test.ini:3: root:`, 'in the form that editors jump to');
  t.equal((await versions(['good'])).get('good'), '200 old', 'its domain stays with the site that had it');
  t.equal(await stamp(), before, 'files and container of other sites were not touched');
  t.equal((await http('xn--bcher-kva.files.test', { path: '/page.txt' })).status, 200, 'an IDN is served in ASCII');
  t.equal((await http('tool.files.sh', { path: '/page.txt' })).status, 200, 'a .sh domain is served');
  await sh('service tool.files.sh stop');
  t.equal((await http('tool.files.sh', { path: '/page.txt' })).status, 503, 'and obeys `service tool.files.sh stop`');
  t.equal(
    await sh('systemctl cat foreign.files.test.service | grep -c "not ours"'),
    '1',
    'a unit of the host is left alone',
  );

  await sh(`cd ${sites}; rm -rf ./*files.test.ini ./*.files.sh.ini ./nginx*.ini ./ssh.ini ./__proto__.ini`);
  await on.putSite(site('good'), old);
  for (const { name } of badFiles) await on.putSite(site(name), old.replace('= old', '= repaired'));
  await until(
    'the agent sees the repaired files',
    async () => (await versions(['junk'])).get('junk') === '200 repaired',
    10,
  );
  for (const [name, version] of await versions(badNamesOf)) t.equal(version, '200 repaired', `${name}: repaired`);
  await sh('rm /etc/systemd/system/foreign.files.test.service; systemctl daemon-reload');
  await on.clear('.files.test');
  t.same(await traces('*files.test'), [], 'nothing is left of them');
});

t.test('snippets of the admin', async (t) => {
  const name = 'snip.faults.test';
  const fresh = 'fresh.faults.test';
  const snippet = (file: string, text: string): Promise<void> => on.host.write(`/etc/appfleet/vhost.d/${file}`, text);
  const header = async (domain: string, wanted: string): Promise<string | undefined> =>
    (await http(domain, { path: '/page.txt' })).headers[wanted];
  const serves = async (wanted: string): Promise<boolean> => (await header(name, 'x-snippet')) === wanted;
  await on.putSite(name, fixed('/srv/files'));
  await on.putSite('beside.faults.test', fixed('/srv/files', '[headers]\nX-Round = 0\n'));
  await applied();

  await snippet(`${name}.conf`, 'add_header X-Snippet one;\n');
  t.comment(
    `a snippet takes effect after ${(await until('the snippet is there', () => serves('one'), 10)).toFixed(1)} s`,
  );
  await snippet(`${name}_location.conf`, '\n# for the location\nadd_header X-Snippet inner;\n');
  await until('the one for the location is there', () => serves('inner'), 10);

  const broken = [
    ['an unknown directive', '\n\nadd_hedaer X two;\n', 3, /add_hedaer/],
    ['a brace too many', 'add_header X-Snippet two;\n}\n', 2, /unexpected "}"/],
    ['an open block', 'location /x {\n', 1, /unexpected end of file/],
    ['a file that is not there', 'include /nowhere.conf;\n', 1, /\/nowhere\.conf/],
    ['what is for another place', 'http { }\n', 1, /"http" directive is not allowed here/],
  ] as const;
  for (const [round, [what, text, line, says]] of broken.entries()) {
    await snippet(`${name}.conf`, text);
    await on.putSite('beside.faults.test', fixed('/srv/files', `[headers]\nX-Round = ${round + 1}\n`));
    const { code, stdout, stderr } = await on.apply();
    t.equal(code, 1, `${what}: apply fails`);
    t.match(stdout + stderr, says, `${what}: in the words of nginx`);
    t.match(stdout + stderr, new RegExp(`vhost\\.d/${name}\\.conf(:${line})?`), `${what}: names the admin's file`);
    t.equal(await header(name, 'x-snippet'), 'inner', `${what}: the site keeps its last good vhost`);
    t.equal(await header('beside.faults.test', 'x-round'), String(round + 1), `${what}: others change on`);
    await sh('nginx -t; systemctl restart nginx');
    t.equal(await header(name, 'x-snippet'), 'inner', `${what}: also after a restart of nginx`);
    t.equal((await on.apply()).code, 1, `${what}: it is said again`);
  }
  await snippet(`${fresh}.conf`, 'nonsense;\n');
  await on.putSite(fresh, fixed('/srv/files'));
  t.equal((await on.apply()).code, 1);
  t.equal(
    (await http(fresh, { path: '/page.txt' })).status,
    200,
    'a new site with a broken snippet is served without it',
  );

  await snippet(`${name}.conf`, 'add_header X-Other three;\n');
  await snippet(`${fresh}.conf`, 'add_header X-Other four;\n');
  await until('the repaired snippet takes effect', async () => (await header(fresh, 'x-other')) === 'four', 10);
  await sh(`rm /etc/appfleet/vhost.d/${name}_location.conf`);
  await until('a removed snippet is gone', async () => (await header(name, 'x-other')) === 'three', 10);
  await applied();
});

const quick = 'quick.kill.test';
const calm = 'calm.kill.test';

/** Sites that no transition is about, and one whose own change is the transition. */
const calmTargets = async (): Promise<Target[]> => {
  const page = await sh('sha256sum </srv/files/page.txt');
  const text = sha('The quick brown fox jumps over the lazy dog.\n'.repeat(500).slice(0, 20000));
  return [
    { host: calm, gets: [{ path: '/text', sha256: text }], post: '/echo' },
    { host: quick, gets: [{ path: '/text', sha256: text }], post: '/echo' },
    { host: 'calm-static.kill.test', gets: [{ path: '/page.txt', sha256: page.split(' ')[0] ?? '' }], post: null },
  ];
};

t.test('a killed agent', async (t) => {
  await on.putSite(calm, program('', '', 'never'));
  await on.putSite(quick, program());
  await on.putSite('calm-static.kill.test', fixed('/srv/files'));
  await applied();
  const load = on.load(await calmTargets(), { clients: 3, pauseMs: 150, lullMs: 3000 });
  let version = 0;
  const four = ['a-static', 'b-node', 'c-static', 'd-static'].map((name) => `${name}.dead.test`);
  const half = four.slice(0, 2);
  const isStatic = (domain: string): boolean => domain.includes('static');
  const put = async (domains: readonly string[]): Promise<void> => {
    version++;
    const env = `VERSION = v${version}`;
    for (const domain of domains) {
      if (isStatic(domain)) await on.putSite(domain, fixed('/srv/files', `[headers]\nX-Version = v${version}\n`));
      if (domain.startsWith('b')) await on.putSite(domain, program('', env));
    }
  };
  const remove = (domains: readonly string[]): Promise<string> =>
    sh(`cd ${sites}; rm -f ${domains.map((domain) => `${domain}.ini`).join(' ')}`);
  const pass = (fault?: number): Promise<{ code: number; stdout: string; stderr: string }> =>
    on.host.run(['appfleet', 'apply'], {
      allowFail: true,
      ...(fault === undefined ? {} : { env: { APPFLEET_FAULT: String(fault) } }),
    });

  /** Kills a pass before each of its steps, with `begin` before it; after each kill one pass must put everything right. */
  const killEverywhere = async (
    what: string,
    begin: () => Promise<void>,
    right: (fault: number) => Promise<string[]>,
  ): Promise<void> => {
    const wrong: string[] = [];
    const began = performance.now();
    let fault = 0;
    for (; ; fault++) {
      await begin();
      const killed = await pass(fault);
      if (killed.code === 0) break;
      if (killed.code !== 137) wrong.push(`${fault}: ended with ${killed.code}: ${killed.stderr}`);
      const repaired = await pass();
      if (repaired.code !== 0) wrong.push(`${fault}: the next pass ended with ${repaired.code}: ${repaired.stderr}`);
      if (!(await nothingLeft())) wrong.push(`${fault}: the second plan is not empty`);
      wrong.push(...(await right(fault)).map((one) => `${fault}: ${one}`));
    }
    t.comment(`${what}: killed before each of ${fault} steps, ${((performance.now() - began) / 1000).toFixed(0)} s`);
    t.same(wrong, [], `${what}: the next pass puts everything right`);
    t.ok(fault > 2, `${what}: there were steps to be killed at`);
  };
  const isServed = async (domains: readonly string[]): Promise<string[]> => {
    const wrong = await sh(`for s in ${domains.join(' ')}; do
        systemctl is-active --quiet $s.service || echo "$s is closed"
        test -e /etc/nginx/appfleet/$s.conf || echo "$s has no vhost"
        case $s in *static*) continue ;; esac; systemctl is-active --quiet $s.socket || echo "$s has no socket"
      done; find /etc /var/lib/appfleet /run/appfleet -name '.appfleet-*.tmp'; nginx -t -q`);
    return wrong.split('\n').filter(Boolean);
  };
  const isServedWith = async (domains: readonly string[]): Promise<string[]> => {
    const wrong = await isServed(domains);
    for (const domain of domains) {
      const { status, headers, text } = await http(domain, { path: isStatic(domain) ? '/page.txt' : '/raw' });
      const found = isStatic(domain) ? headers['x-version'] : /"version":"(v\d+)"/.exec(text)?.[1];
      if (status !== 200 || found !== `v${version}`)
        wrong.push(`${domain}: ${status}, ${found ?? 'no version'}, not v${version}`);
    }
    return wrong;
  };

  await agent('stop');
  try {
    await killEverywhere(
      'nothing to four sites',
      async () => {
        await remove(four);
        await pass();
        await put(four);
      },
      (fault) => (fault % 5 === 0 ? isServedWith(four) : isServed(four)),
    );
    await killEverywhere(
      'a change of all four',
      () => put(four),
      (fault) => (fault % 3 === 0 ? isServedWith(four) : isServed(four)),
    );
    await killEverywhere(
      'two of four go',
      async () => {
        await put(half);
        await pass();
        await remove(half);
      },
      async () => [...(await traces('[ab]-*dead.test')), ...(await isServed(four.slice(2)))],
    );
    await killEverywhere(
      'a change of a site under load',
      () => on.putSite(quick, program('', `VERSION = v${++version}`)),
      async () => {
        const { text } = await http(quick, { path: '/raw' });
        return text.includes(`"version":"v${version}"`) ? [] : [`not v${version}: ${text.slice(0, 100)}`];
      },
    );
    await remove(four);
    await pass();
    t.same(await traces('*.dead.test'), [], 'nothing is left of the four');
  } finally {
    await agent('start');
  }

  for (let kills = 0; kills < 20; kills++) {
    await on.putSite(quick, program('', `VERSION = k${kills}`));
    if (kills % 4 === 0) await on.putSite('a-static.dead.test', fixed('/srv/files'));
    if (kills % 4 === 2) await remove(four);
    await pause(Math.random() * 600);
    // Without the pause of Restart=: the point is to be killed often.
    await sh('systemctl kill --signal=KILL appfleet.service; systemctl restart appfleet.service');
  }
  await until(
    'the last change is there',
    async () => (await http(quick, { path: '/raw' })).text.includes('"version":"k19"'),
    10,
  );
  await remove(four);
  await applied();
  t.ok(await nothingLeft(), 'after 20 kills of the daemon nothing is left to do');
  const loads = await load.stop();
  t.comment(
    loads.map(({ host, requests, slowestMs }) => `${host}: ${requests} requests, slowest ${slowestMs} ms`).join('; '),
  );
  t.ok(
    loads.every(({ requests }) => requests > 100),
    'there was load',
  );
  t.same(load.failures, [], 'no request was lost meanwhile');
});

t.test('a second agent refuses', async (t) => {
  const { code, stderr } = await on.host.run(['appfleet', 'run'], { allowFail: true, timeoutMs: 10_000 });
  t.equal(code, 1);
  t.match(stderr, /another appfleet agent runs on this host; see: systemctl status appfleet/);
  t.equal(await on.unit('appfleet.service'), 'active', 'the first one goes on');
});

t.test('a full disk', async (t) => {
  const name = 'disk.faults.test';
  const file = (more: string): Promise<void> =>
    on.putSite(name, program('', `VERSION = ${more}\nFILL = "${'x'.repeat(8000)}"`));
  await file('one');
  await applied();
  t.equal((await http(name)).status, 200);
  for (const directory of ['/var/lib/appfleet', '/etc/systemd/system', '/etc/nginx/appfleet']) {
    const version = `after-${directory.split('/')[1] ?? ''}-${directory.length}`;
    // The same files on a file system of their own that has no room left.
    await sh(`
      size=$(du -sk --apparent-size ${directory} | cut -f1)
      mkdir -p /mnt/small; mount -t tmpfs -o size=$((size * 3 + 400))k tmpfs /mnt/small
      cp -a ${directory}/. /mnt/small/; mount --bind /mnt/small ${directory}
      dd if=/dev/zero of=${directory}/.fill bs=1k status=none 2>/dev/null || true`);
    try {
      const sums = (): Promise<string> =>
        sh(`find ${directory} -type f ! -name .fill ! -path '*/candidates/*' -exec sha256sum {} + | sort -k2`);
      const before = await sums();
      const more =
        directory === '/etc/nginx/appfleet'
          ? 'max_body_size = 77m'
          : directory === '/etc/systemd/system'
            ? 'drain_timeout = 29s\nstop_timeout = 7s'
            : '';
      await on.putSite(
        name,
        program('', `VERSION = ${version}\nFILL = "${'y'.repeat(8000)}"`).replace(
          'stop_timeout = 1s',
          more === '' ? 'stop_timeout = 1s' : more,
        ),
      );
      const { code, stdout, stderr } = await on.apply();
      t.equal(code, 1, `${directory}: apply fails`);
      t.match(stdout + stderr, new RegExp(`${directory}.*no space left`), `${directory}: names the path`);
      t.equal(await sums(), before, `${directory}: the old files are whole, and no other is there`);
      t.equal((await http(name)).status, 200, `${directory}: the site is served`);
      await sh(`rm ${directory}/.fill`);
      const repaired = await on.apply();
      t.equal(repaired.code, 0, `${directory}: with room it converges: ${repaired.stderr}`);
      t.ok(await nothingLeft(), `${directory}: nothing is left to do`);
      await until(
        `${directory}: the change is there`,
        async () => (await http(name, { path: '/raw' })).text.includes(version),
        10,
      );
    } finally {
      await sh(
        `rm -f ${directory}/.fill; umount ${directory}; cp -a /mnt/small/. ${directory}/; umount /mnt/small; systemctl daemon-reload`,
      );
    }
    await applied();
  }
});

t.test('daemons that the agent talks to are restarted', async (t) => {
  const name = 'daemon.faults.test';
  await on.putSite(name, program());
  await on.putSite('steady.faults.test', program('', '', 'never'));
  await applied();
  const pid = await sh('systemctl show -P MainPID appfleet.service');
  const works = async (what: string): Promise<void> => {
    t.equal((await http(name)).status, 200, `${what}: a request wakes the site`);
    await on.asleep(name, 15);
    t.pass(`${what}: it falls asleep`);
    const stamp = String(Date.now());
    await on.putSite(name, program('', `VERSION = ${stamp}`));
    await until(
      `${what}: a change takes effect`,
      async () => (await sh(`cat /var/lib/appfleet/start/${name}/container.json`)).includes(stamp),
      15,
    );
    const { code, stderr } = await on.apply();
    t.equal(code, 0, `${what}: apply ${stderr}`);
    t.match((await http(name, { path: '/raw' })).text, stamp, `${what}: the new container`);
    t.equal(await sh('systemctl show -P MainPID appfleet.service'), pid, `${what}: the agent is the same`);
  };
  await on.awake('steady.faults.test');
  await sh('systemctl stop docker.service docker.socket');
  t.equal((await http('steady.faults.test')).status, 200, 'an awake site is served without dockerd');
  await sh('systemctl start docker.socket docker.service');
  await works('dockerd stopped and started');
  await sh('systemctl kill --signal=KILL docker.service; systemctl restart docker.service');
  await works('dockerd killed');
  await sh('systemctl restart nginx.service');
  await works('nginx restarted');
  await sh('systemctl kill --signal=KILL dbus.service; until busctl --system list >/dev/null 2>&1; do sleep 0.1; done');
  await works('the bus killed');

  // What is stopped is stopped before dockerd may start again: neither may wait for the other.
  await on.putSite(name, program('drain_timeout = 1s'));
  await applied();
  t.equal((await http(name)).status, 200);
  const began = performance.now();
  const sleeping = sh(`sleep 0.3; systemctl stop ${name}-app.service`);
  await sh('systemctl restart docker.service');
  await sleeping;
  const seconds = (performance.now() - began) / 1000;
  t.ok(seconds < 20, `a site that is stopped while dockerd restarts: both done after ${seconds.toFixed(1)} s`);
  await works('a site stopped while dockerd restarted');
  t.equal(await sh('systemctl show -P NRestarts appfleet.service'), '0', 'it was never restarted');
});

t.test('the clock is set two hours ahead, and back', async (t) => {
  const name = 'clock.faults.test';
  await on.putSite(name, program('', '', '4s'));
  await applied();
  const dropIn = '/run/systemd/system/appfleet.service.d/clock.conf';
  await on.host.write(dropIn, `[Service]\nEnvironment="NODE_OPTIONS=--require ${folder}/clock.cjs"\n`);
  await sh('echo 0 >/run/on-host-clock; systemctl daemon-reload; systemctl restart appfleet.service');
  try {
    t.equal((await http(name)).status, 200);
    for (const [what, seconds] of [
      ['two hours ahead', 7200],
      ['two hours back', -7200],
      ['right again', 0],
    ] as const) {
      const starts = await on.starts(name);
      await sh(`echo ${seconds} >/run/on-host-clock`);
      for (let round = 0; round < 5; round++) {
        // What connect(2) would do to the socket on a machine whose clock was set.
        if (round === 1) await sh(`touch -h -a -d '${seconds} seconds' /run/appfleet/${name}/r1/app.sock`);
        await pause(1200);
        t.equal((await http(name)).status, 200, `${what}: a request`);
      }
      t.equal(await on.starts(name), starts, `${what}: who is used stays awake`);
      const began = performance.now();
      await on.asleep(name, 12);
      const idle = (performance.now() - began) / 1000;
      t.ok(idle > 2, `${what}: asleep ${idle.toFixed(1)} s after the last request, with idle = 4s`);
      const stamp = `clock${seconds}`;
      await on.putSite(name, program('', `VERSION = ${stamp}`, '4s'));
      await until(
        `${what}: a change takes effect`,
        async () => (await http(name, { path: '/raw' })).text.includes(stamp),
        8,
      );
    }
    t.match(await sh('journalctl --quiet --unit=appfleet.service --lines=1 --output=cat'), /./);
    t.equal(await sh('systemctl show -P NRestarts appfleet.service'), '0');
  } finally {
    await sh(`rm -f ${dropIn} /run/on-host-clock; systemctl daemon-reload; systemctl restart appfleet.service`);
  }
});

t.test('sites that cannot run', async (t) => {
  const beside = 'beside.broken.test';
  const shelf = '/srv/on-host-shelf';
  await sh(
    `mkdir -p ${shelf}; rm -f ${shelf}/*; docker image rm demo/absent:1 demo/vanished:1 2>/dev/null || true; docker tag demo/node-app:latest demo/vanished:1`,
  );
  const late = `start_timeout = 3s\nvolumes = ${folder}:${folder}:ro, ${shelf}:${shelf}:ro`;
  const lines = `volumes = ${folder}:${folder}:ro`;
  const withImage = (image: string): string => program().replace('demo/node-app', image);
  const exits = program().replace(`node ${folder}/app.cjs`, 'node --no-such-option');
  interface Broken {
    host: string;
    what: string;
    /** Longest that a 503 may take. */
    within: number;
    repair: () => Promise<unknown>;
  }
  const broken: Broken[] = [
    {
      host: 'absent.broken.test',
      what: 'its image was never there',
      within: 3000,
      repair: () => sh('docker tag demo/node-app:latest demo/absent:1'),
    },
    {
      host: 'vanished.broken.test',
      what: 'its image and container were removed',
      within: 3000,
      repair: () => sh('docker tag demo/node-app:latest demo/vanished:1'),
    },
    {
      host: 'exits.broken.test',
      what: 'its program exits at once',
      within: 3000,
      repair: () => on.putSite('exits.broken.test', program()),
    },
    {
      host: 'late.broken.test',
      what: 'it never gets ready',
      within: 3000 + 2500,
      repair: () => sh(`touch ${shelf}/go`),
    },
    {
      host: 'eats.broken.test',
      what: 'it eats its memory limit',
      within: 3000,
      repair: () => on.putSite('eats.broken.test', program('memory = 600m', 'EAT = 150')),
    },
  ];
  await on.putSite(beside, program('', '', 'never'));
  await on.putSite('vanished.broken.test', withImage('demo/vanished:1'));
  await applied();
  await on.awake(beside);
  t.equal((await http('vanished.broken.test')).status, 200);
  await on.sleepNow('vanished.broken.test');
  await sh('docker rm vanished.broken.test; docker image rm demo/vanished:1');

  const quiet = on.hammer([beside], { clients: 2, pauseMs: 20 });
  await pause(3000);
  const [calmBefore] = await quiet.stop();

  await on.putSite('absent.broken.test', withImage('demo/absent:1'));
  await on.putSite('exits.broken.test', exits);
  await on.putSite('late.broken.test', program(late, `START_AFTER = ${shelf}/go`).replace(`${lines}\n`, ''));
  await on.putSite('eats.broken.test', program('memory = 60m', 'EAT = 150'));
  const { code, stdout, stderr } = await on.apply();
  t.equal(code, 1, 'apply says that a site failed');
  t.match(stdout + stderr, /demo\/absent:1/, 'and which image is missing');

  const since = Date.now() / 1000;
  const hammer = on.hammer(
    broken.map(({ host }) => host),
    { clients: 2, pauseMs: 20 },
  );
  const other = on.hammer([beside], { clients: 2, pauseMs: 20 });
  await pause(8000);
  const starts = await sh(
    `docker events --since ${since} --until ${Date.now() / 1000} --filter type=container --filter event=start --format '{{.Actor.Attributes.name}}' | sort | uniq -c`,
  );
  for (const { host, what } of broken) {
    const count = Number(new RegExp(`(\\d+) ${host}`).exec(starts)?.[1] ?? 0);
    t.ok(count <= 8 + 4, `${what}: ${count} starts of its container in 8 s of hammering`);
    t.notOk(
      hammer.changes.some((change) => change.host === host && change.status === 200),
      `${what}: it does not serve`,
    );
    let problem = '';
    await until(`${what}: appfleet status calls it failed`, async () => {
      const status = await on.status(host);
      problem = String(status['problem']);
      return status['problem'] !== null && ['failed', 'not applied'].includes(String(status['state']));
    });
    t.comment(`${what}: ${problem}`);
  }
  const times: string[] = [];
  for (const { host, what, repair } of broken) {
    await repair();
    const repaired = Date.now();
    await until(`${what}: it recovers`, () => hammer.changes.some((c) => c.host === host && c.status === 200), 30);
    const at = hammer.changes.find((change) => change.host === host && change.status === 200)?.at ?? 0;
    times.push(`${host} ${((at - repaired) / 1000).toFixed(1)} s`);
    t.ok(at - repaired <= 2000, `${what}: served ${at - repaired} ms after the repair`);
  }
  const sites = await hammer.stop();
  const [calmBeside] = await other.stop();
  t.comment(`recovered: ${times.join(', ')}`);
  for (const { host, what, within } of broken) {
    const site = sites.find((one) => one.host === host);
    t.same(Object.keys(site?.statuses ?? {}).sort(), ['200', '503'], `${what}: 503 until it is repaired, then 200`);
    t.equal(site?.noRetryAfter, 0, `${what}: every 503 says when to come again`);
    const slowest = site?.slowestMs['503'] ?? Infinity;
    t.ok(slowest <= within, `${what}: slowest 503 after ${slowest} ms`);
  }
  t.comment(`the site beside them, alone: ${calmBefore?.medianMs} ms median, ${calmBefore?.p95Ms} ms 95 %`);
  t.comment(
    `the site beside them, then: ${calmBeside?.medianMs} ms median, ${calmBeside?.p95Ms} ms 95 %, slowest ${calmBeside?.slowestMs['200']} ms`,
  );
  t.same(Object.keys(calmBeside?.statuses ?? {}), ['200'], 'the site beside them is always served');
  t.ok((calmBeside?.p95Ms ?? Infinity) < Math.max(150, 10 * (calmBefore?.p95Ms ?? 0)), 'and hardly slower');

  // A running program that eats its limit: the kernel ends it, the next request starts it again.
  await on.putSite('eats.broken.test', program('memory = 60m'));
  await applied();
  t.equal((await http('eats.broken.test')).status, 200);
  const eaten = await http('eats.broken.test', { path: '/eat' });
  t.match(
    eaten,
    { status: 503, headers: { 'retry-after': /^\d+$/ } },
    `the request that ate it: 503 after ${eaten.ms} ms`,
  );
  t.ok(
    (await until('it is back', async () => (await http('eats.broken.test')).status === 200, 10)) < 3,
    'it is back at once',
  );
  t.match(
    await sh('journalctl --quiet --output=cat OBJECT_SYSTEMD_UNIT=eats.broken.test.service | tail -20'),
    /out of memory/,
  );
});

t.test('what is killed or taken away behind the back of systemd and the agent', async (t) => {
  const name = 'unit.faults.test';
  const run = `/run/appfleet/${name}`;
  await on.putSite(name, program('', '', '10m'));
  await applied();
  const back = async (what: string): Promise<void> => {
    const seconds = await until(`${what}: it serves`, async () => (await http(name)).status === 200, 10);
    t.ok(seconds < 3, `${what}: served after ${seconds.toFixed(1)} s`);
    await on.awake(name, 10);
  };
  await back('at first');
  await sh(`systemctl kill --kill-whom=main --signal=KILL ${name}-app.service`);
  await back('the process that waits for the container killed');
  await sh(`systemctl kill ${name}-app.service`);
  await back('systemctl kill');
  await sh(`docker kill ${name}`);
  await back('docker kill');
  await sh(`docker rm --force ${name}`);
  await back('docker rm --force');
  await sh(`systemctl stop ${name}-app.service`);
  await back('its -app.service stopped by hand');

  await sh(`systemctl stop ${name}.socket`);
  const seconds = await until(
    'the agent opens the socket again',
    async () => (await on.unit(`${name}.socket`)) === 'active',
    15,
  );
  t.ok(seconds < 5, `its .socket stopped by hand: open again after ${seconds.toFixed(1)} s`);
  await back('its .socket stopped by hand');

  await sh(`service ${name} stop; systemctl start ${name}.socket`);
  const closed = await until(
    'the agent closes it again',
    async () => (await on.unit(`${name}.socket`)) === 'inactive',
    10,
  );
  t.ok(closed < 3, `the .socket of a stopped site started by hand: closed again after ${closed.toFixed(1)} s`);
  t.equal((await http(name)).status, 503, 'and nobody wakes it');
  t.match(await on.status(name), { state: 'stopped', problem: null });
  await sh(`service ${name} start`);
  await back('opened again');

  const links: readonly (readonly [what: string, script: string])[] = [
    ['removed', `rm ${run}/http.sock`],
    ['dangling', `ln -sfn /run/appfleet/nobody ${run}/http.sock`],
    [
      'of the other state',
      `ln -sfn ${run}/$(readlink ${run}/http.sock | grep -q wake && echo r1/app.sock || echo wake.sock) ${run}/http.sock`,
    ],
  ];
  for (const [what, script] of links)
    for (const state of ['awake', 'asleep'] as const) {
      if (state === 'awake') await back(`before the switch is ${what}`);
      else await on.sleepNow(name);
      await sh(script);
      await applied();
      await back(`the switch ${what} while ${state}, after a pass`);
      t.ok(await nothingLeft(), `the switch ${what} while ${state}: nothing is left to do`);
    }
  for (const state of ['awake', 'asleep'] as const) {
    if (state === 'awake') await back('before its run directory is removed');
    else await on.sleepNow(name);
    await sh(`rm -rf ${run}`);
    await applied();
    await back(`its run directory removed while ${state}, after a pass`);
    t.ok(await nothingLeft(), `its run directory removed while ${state}: nothing is left to do`);
  }
});

t.test('/run/appfleet is removed', async (t) => {
  const sites = { awake: 'awake.run.test', asleep: 'asleep.run.test', stopped: 'stopped.run.test' };
  const page = 'static.run.test';
  const user = 'user.run.test';
  await sh('mkdir -p /srv/files; echo page >/srv/files/page.txt');
  await on.putService(
    'rundb',
    `[service]\nimage = demo/node-app\nready = port:3000\nstop_timeout = 1s\n[env]\nPORT = 3000\n`,
  );
  for (const name of Object.values(sites)) await on.putSite(name, program('', '', '10m'));
  await on.putSite(user, program('needs = rundb', '', '10m'));
  await on.putSite(page, fixed('/srv/files'));
  await applied();
  try {
    await sh(`service ${sites.stopped} stop`);
    for (const who of ['appfleet apply', 'the agent', 'appfleet apply without an agent']) {
      await on.sleepNow(sites.asleep);
      for (const name of [sites.awake, user]) t.equal((await http(name)).status, 200);
      const database = await sh("docker inspect -f '{{.State.StartedAt}}' rundb");
      if (who.endsWith('without an agent')) await agent('stop');
      await sh('rm -rf /run/appfleet');
      if (who === 'the agent') await sh('systemctl kill --kill-whom=main --signal=HUP appfleet');
      else await applied();
      await until(
        `${who}: all is served`,
        async () => {
          const all = [sites.awake, sites.asleep, user].map(async (name) => (await http(name)).status);
          return (
            (await Promise.all(all)).every((status) => status === 200) &&
            (await http(page, { path: '/page.txt' })).status === 200 &&
            (await nothingLeft())
          );
        },
        20,
      );
      t.equal((await http(sites.stopped)).status, 503, `${who}: what was stopped still is`);
      t.equal(await on.unit(`${sites.stopped}.socket`), 'inactive');
      t.equal(await sh("stat -c '%a %U %G' /run/appfleet"), '750 root www-data', `${who}: nobody else may go there`);
      t.equal(
        await sh("docker inspect -f '{{.State.StartedAt}}' rundb"),
        database,
        `${who}: the shared container ran on`,
      );
      await sh('systemctl restart rundb-app');
      t.equal((await http(user)).status, 200, `${who}: the shared container can be restarted`);
      if (who.endsWith('without an agent')) await agent('start');
      await applied();
      t.match(await sh('curl -s --unix-socket /run/appfleet/agent.sock http://agent/v1/sites'), sites.awake);
    }
  } finally {
    await agent('start');
    await sh('rm -f /etc/appfleet/services/rundb.ini');
    await on.clear('.test');
  }
});

t.test('a container that is slow to stop holds up its own site and nobody else', async (t) => {
  const deaf = 'deaf.slow.test';
  const slow = (version: number, idle = '10m'): string =>
    program('', `DEAF = 1\nVERSION = v${version}`, idle).replace('stop_timeout = 1s', 'stop_timeout = 12s');
  const answers = async (version: number): Promise<void> => {
    const { status, text } = await http(deaf, { path: '/raw' });
    t.equal(status, 200);
    t.match(text, `"version":"v${version}"`, `${deaf} has what its file says last`);
  };
  const isStopping = async (): Promise<boolean> => (await on.unit(`${deaf}-app.service`)) === 'deactivating';
  /** A site of somebody else comes, changes and goes while the slow one stops. */
  const others = async (what: string): Promise<void> => {
    const other = `${what}.beside.slow.test`;
    const page = async (): Promise<string> => {
      const { status, headers } = await http(other, { path: '/page.txt' });
      return `${status} ${headers['x-version'] ?? ''}`;
    };
    for (const version of ['one', 'two']) {
      await on.putSite(other, fixed('/srv/files', `[headers]\nX-Version = ${version}\n`));
      const seconds = await until(`${other} is served`, async () => (await page()) === `200 ${version}`, 30);
      t.ok(seconds < 3, `${what}: version ${version} of another site after ${seconds.toFixed(1)} s`);
    }
    await on.removeSite(other);
    const gone = await until(`${other} is gone`, async () => !(await page()).startsWith('200'), 30);
    t.ok(gone < 3, `${what}: another site gone after ${gone.toFixed(1)} s`);
    t.ok(await isStopping(), `${what}: ${deaf} still stops`);
  };

  await sh('mkdir -p /srv/files; echo page >/srv/files/page.txt');
  await on.putSite(deaf, slow(1, 'never'));
  await applied();
  await on.awake(deaf);
  await answers(1);
  const reloads = (): Promise<string> =>
    sh('journalctl --quiet -u appfleet -o cat | grep -c "make nginx load" || true');

  await on.putSite(deaf, slow(2, 'never'));
  await until('it stops', isStopping, 5);
  await others('restarting');
  // Changed again while it restarts; who asks for a pass is answered when all of it has happened.
  await on.putSite(deaf, slow(3, 'never'));
  const asked = await on.apply();
  t.equal(asked.code, 0, asked.stderr);
  await answers(3);
  t.ok(await nothingLeft(), 'and nothing is left to do');

  const before = await reloads();
  await on.removeSite(deaf);
  await until('it stops', isStopping, 5);
  t.equal((await http(deaf)).status, 404, 'a removed site is nobody at once');
  t.equal(Number(await reloads()) - Number(before), 1, 'by one reload');
  await others('removed');
  // It comes back before it is gone.
  await on.putSite(deaf, slow(4));
  await applied();
  t.equal(await on.unit(`${deaf}.service`), 'active', 'a site that comes back while it stops is open in the end');
  await answers(4);

  // Removed while it restarts, with the agent killed in between.
  await on.putSite(deaf, slow(5));
  await until('it restarts', isStopping, 5);
  await on.removeSite(deaf);
  await pause(1000);
  await sh('systemctl kill --signal=KILL appfleet.service');
  await until('all of it is gone', async () => (await traces('deaf.slow.test')).length === 0, 60);
  await applied();
  t.ok(await nothingLeft(), 'nothing is left to do');
});

t.test('a shared container that is slow to stop', async (t) => {
  const user = 'user.slow.test';
  const shared = (version: number): string => `[service]
image = demo/node-app
command = node ${folder}/app.cjs
volumes = ${folder}:${folder}:ro
stop_timeout = 8s
ready = port:3000
[env]
PORT = 3000
DEAF = 1
VERSION = v${version}
`;
  await on.putService('slowdb', shared(1));
  await on.putSite(user, program('needs = slowdb', 'VERSION = v1', 'never'));
  await applied();
  await on.awake(user);
  try {
    await on.putService('slowdb', shared(2));
    await on.putSite(user, program('needs = slowdb', 'VERSION = v2', 'never'));
    await until('it stops', async () => (await on.unit('slowdb-app.service')) === 'deactivating', 5);
    await on.putSite('other.slow.test', fixed('/srv/files'));
    const seconds = await until(
      'another site is served',
      async () => (await http('other.slow.test', { path: '/page.txt' })).status === 200,
      30,
    );
    t.ok(seconds < 3, `another site is served after ${seconds.toFixed(1)} s`);
    await applied();
    t.match((await http(user, { path: '/raw' })).text, '"version":"v2"');
    const [database = 0, site = 0] = (
      await sh(
        `docker inspect -f '{{.State.StartedAt}}' slowdb ${user} | while read -r at; do date -d "$at" +%s%N; done`,
      )
    )
      .split('\n')
      .map(Number);
    t.ok(database < site, 'the shared container is up before the site that needs it');
    t.ok(await nothingLeft(), 'nothing is left to do');
  } finally {
    await sh('rm -f /etc/appfleet/services/slowdb.ini');
    await on.clear('.test');
  }
});

t.test('a port that another program has', async (t) => {
  const name = 'port.faults.test';
  const settings = '/etc/appfleet/appfleet.ini';
  const before = await on.host.read(settings);
  const onPort = (port: number): Promise<string> =>
    sh(
      `curl -s -o /dev/null -w '%{http_code} %header{x-version}' -H 'Host: ${name}' http://127.0.0.1:${port}/page.txt || true`,
    );
  const put = (version: string): Promise<void> =>
    on.putSite(name, fixed('/srv/files', `[headers]\nX-Version = ${version}\n`));
  const program = `require('net').createServer().listen(8099, '127.0.0.1')`;
  await sh('mkdir -p /srv/files; echo page >/srv/files/page.txt');
  await put('one');
  await applied();
  try {
    await sh(`systemd-run --quiet --unit=squatter --property=Type=exec /usr/lib/appfleet/node -e "${program}"`);
    await until('the other program listens', async () => (await sh('ss -Hltn sport = 8099')) !== '', 10);
    const pid = await sh('systemctl show -P MainPID squatter');
    const says = `appfleet.ini: http_port: port 8099 belongs to node (process ${pid}): nginx stays on port 80`;
    await on.host.write(settings, `${before}http_port = 8099\n`);
    await put('two');
    const { code, stderr } = await on.apply();
    t.equal(code, 2, 'apply says that a file has a problem');
    t.match(stderr, says, 'and which program has the port');
    t.match(await on.host.run(['appfleet', 'status'], { allowFail: true }), { code: 1, stdout: says });
    t.equal(await onPort(80), '200 two', 'sites stay on the port that they had, and change on');
    await sh('systemctl restart appfleet');
    t.match((await on.apply()).stderr, says, 'it is said again by an agent that was started again');
    t.equal(await onPort(80), '200 two');
    await sh('systemctl stop squatter');
    await applied();
    t.equal(await onPort(8099), '200 two', 'they move when the port is free');
    t.equal(await onPort(80), '000');

    // Nobody asks nginx for its port while it is down.
    await sh('systemctl stop nginx');
    await sh(`systemd-run --quiet --unit=squatter --property=Type=exec /usr/lib/appfleet/node -e "${program}"`);
    await until('the other program listens', async () => (await sh('ss -Hltn sport = 8099')) !== '', 10);
    t.match((await on.apply()).stderr, /port 8099 belongs to node \(process \d+\): nginx cannot listen on it/);
  } finally {
    await sh('systemctl stop squatter || true; systemctl reset-failed nginx || true');
    await on.host.write(settings, before);
    await sh('appfleet apply || true; systemctl start nginx');
    await applied();
  }
  t.equal(await onPort(80), '200 two', 'and back');
});

t.test('never more than parallel_starts at the same time', async (t) => {
  const names = Array.from({ length: 12 }, (_, index) => `p${index}.many.test`);
  const shelf = '/srv/on-host-starts';
  await sh(`rm -rf ${shelf}; mkdir -p -m 777 ${shelf}`);
  const settings = '/etc/appfleet/appfleet.ini';
  const before = await on.host.read(settings);
  await on.host.write(settings, '[appfleet]\nacme_directory = none\nparallel_starts = 2\n');
  try {
    for (const name of names) {
      const text = program('', `START_MS = 300\nSTARTS = ${shelf}/log`, '10m');
      await on.putSite(name, text.replace(`${folder}:ro`, `${folder}:ro, ${shelf}:${shelf}`));
    }
    await applied();
    const began = performance.now();
    const answers = await Promise.all(names.map((name) => http(name)));
    const seconds = (performance.now() - began) / 1000;
    t.same(
      answers.map(({ status }) => status),
      names.map(() => 200),
      `all are served after ${seconds.toFixed(1)} s`,
    );
    const marks = (await sh(`sort -n ${shelf}/log`)).split('\n').map((line) => Number(line.split(' ')[1]));
    t.equal(marks.length, 24, 'each began once and was ready once');
    let now = 0;
    const most = Math.max(...marks.map((step) => (now += step)));
    t.comment(`at most ${most} were starting at the same time; 12 sites in ${seconds.toFixed(1)} s`);
    t.equal(most, 2);
  } finally {
    await on.host.write(settings, before);
    await applied();
  }
});
