/** What goes wrong on a real host, on purpose: bad files, killed agents, full disks, dead daemons, taken ports. */
import t from 'tap';
import { badFiles, badNames } from './clients/bad-files.ts';
import { fixed, openFaults, program, sha, sites } from './clients/faults.ts';
import { folder, pause, until, type Target } from './clients/on-host.ts';

t.setTimeout(600_000);
const { on, agent, applied, nothingLeft, traces } = await openFaults('on-host-faults', t);
const { http, sh } = on;

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
  // Some were taken away and came back meanwhile: those close and open again, each in its own time.
  const unlike = async (): Promise<[string, string][]> =>
    [...(await versions(badNamesOf))].filter(([, version]) => version !== '200 repaired');
  for (const end = performance.now() + 20_000; (await unlike()).length > 0 && performance.now() < end;)
    await pause(100);
  t.strictSame(await unlike(), [], 'all that was repaired is served');
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
