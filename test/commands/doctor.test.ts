import t from 'tap';
import type { Probe, WebAnswer } from '../../agent/adapters/probe.ts';
import { doctorCommand } from '../../agent/commands/doctor.ts';
import type { Finding } from '../../agent/commands/finding.ts';
import { createReconciler } from '../../agent/reconcile/reconcile.ts';
import { createFakeContext } from '../fakes/context.ts';
import { createFakeHost, type FakeHost } from '../fakes/host.ts';

const name = 'app.example.org';
const run = `/run/appfleet/${name}`;
const answer = (status: number, body = ''): WebAnswer => ({
  status,
  body,
  headers: status === 503 ? { 'retry-after': '5' } : {},
});

interface Visits {
  heads: string[];
  knocks: string[];
}

const createFakeProbe = (change: Partial<Probe> = {}): Probe & Visits => {
  const visits: Visits = { heads: [], knocks: [] };
  return {
    ...visits,
    isRoot: () => true,
    run: ([program]) =>
      Promise.resolve({ code: 0, stdout: program === 'systemctl' ? 'systemd 257 (257.1)\n+PAM' : '', stderr: '' }),
    accepts: () => Promise.resolve(null),
    head: (_port, host) => {
      visits.heads.push(host);
      return Promise.resolve(answer(200));
    },
    secureHead: (port, host) => {
      visits.heads.push(`${host}:${port}`);
      return Promise.resolve(answer(200));
    },
    knock: (_port, host) => {
      visits.knocks.push(host);
      return Promise.resolve(answer(413));
    },
    listeners: () => Promise.resolve([{ program: 'nginx', pid: 7 }]),
    resolve: () => Promise.resolve(['192.0.2.1']),
    ownAddresses: () => ['192.0.2.1'],
    accessTimeMoves: () => Promise.resolve(true),
    ...change,
  };
};

/** A host where all is well, with one site that sleeps, and its database. Made by real passes. */
const wellHost = async (): Promise<FakeHost> => {
  const host = createFakeHost();
  host.disk.set('/proc/net/tcp', '  sl  local_address rem_address   st\n   0: 00000000:0050 00000000:0000 0A 0\n');
  host.disk.set('/proc/meminfo', 'MemTotal:        8000000 kB\n');
  host.disk.set(`/etc/appfleet/sites/${name}.ini`, '[site]\nruntime = node\nimage = node:20\nneeds = mysql\n');
  host.disk.set('/etc/appfleet/services/mysql.ini', '[service]\nimage = mariadb:11\n');
  for (const image of ['node:20', 'mariadb:11']) host.images.add(image);
  for (const unit of ['appfleet.service', 'appfleet.socket', 'nginx.service', `${name}.socket`, 'mysql-app.service'])
    host.active.set(unit, 'active');
  const context = createFakeContext(host);
  const reconciler = createReconciler(host, context.templates(), () => 'secret');
  await reconciler.apply({ width: 1, clock: () => 0, onProgress: () => undefined });
  host.disk.set('/run/appfleet/mysql/open', '');
  host.accessed.set(`${run}/wake.sock`, 0);
  host.links.set(`${run}/http.sock`, `${run}/wake.sock`);
  const spec = /^spec=(.*)$/m.exec(host.disk.get('/var/lib/appfleet/start/mysql/launch') ?? '')?.[1] ?? '';
  host.docker.set('mysql', {
    name: 'mysql',
    site: 'mysql',
    spec,
    running: true,
    paused: false,
    imageId: '',
    memory: 1,
  });
  return host;
};

const awake = (host: FakeHost): void => {
  const spec = /^spec=(.*)$/m.exec(host.disk.get(`/var/lib/appfleet/start/${name}/launch`) ?? '')?.[1] ?? '';
  host.active.set(`${name}-app.service`, 'active');
  host.links.set(`${run}/http.sock`, `${run}/r1/app.sock`);
  host.docker.set(name, { name, site: name, spec, running: true, paused: false, imageId: '', memory: 1 });
};

const examine = async (
  host: FakeHost,
  probe: Probe = createFakeProbe(),
  options: { word?: string; wake?: boolean } = {},
): Promise<{ code: number; bad: string[]; findings: Finding[] }> => {
  const context = createFakeContext(host);
  const code = await doctorCommand(context, options.word, { json: true, wake: options.wake ?? false }, probe);
  const { findings } = JSON.parse(context.take()) as { findings: Finding[] };
  const bad = findings.filter(({ mark }) => mark !== 'ok');
  return { code, findings, bad: bad.map(({ subject, link, mark, detail }) => `${mark} ${subject} ${link}: ${detail}`) };
};

t.test('all is well', async (t) => {
  const host = await wellHost();
  const probe = createFakeProbe();
  const context = createFakeContext(host);
  t.equal(await doctorCommand(context, undefined, { json: false, wake: false }, probe), 0);
  t.equal(
    `\n${context.take()}\n`,
    `
✓ host
  ✓ systemd          version 257
  ✓ folders          /run/appfleet and /var/lib/appfleet are there
  ✓ docker           version 26.1.5, API 1.45
  ✓ docker over TCP  nothing listens on 2375 and 2376
  ✓ nginx            version 1.26.3, its configuration is valid
  ✓ vhosts           nginx accepts all of them
  ✓ agent            it runs
  ✓ access times     they work on /run/appfleet
  ✓ memory           8.2 GB
  ✓ in step          the host is as the files say
✓ app.example.org  asleep
✓ mysql  awake

21 checks, all well
`,
  );
  t.same([probe.heads, probe.knocks], [[], [name]], 'the sleeping site was not woken');
  t.equal(host.calls.get('start'), 2, 'no more than the pass that made the host');

  t.equal(await doctorCommand(context, name, { json: false, wake: true }, probe), 0);
  t.match(context.take(), /✓ HTTP +it answers 200 after \d/);
  t.same(probe.heads, [name], 'with --wake it was');
  t.equal(await doctorCommand(context, 'ap.example.org', { json: false, wake: false }, probe), 2);
  const nobody = createFakeProbe({ isRoot: () => false });
  t.equal(await doctorCommand(context, undefined, { json: false, wake: false }, nobody), 2);
});

t.test('each broken link is named', async (t) => {
  const broken = async (change: (host: FakeHost) => void, probe?: Partial<Probe>): Promise<string[]> => {
    const host = await wellHost();
    change(host);
    const { code, bad } = await examine(host, createFakeProbe(probe), { word: name });
    const expected = bad.some((line) => line.startsWith('broken')) ? 1 : 0;
    t.equal(code, expected, bad.join('; '));
    return bad.filter((line) => !/^\w+ host /.test(line));
  };
  const only = async (expected: RegExp, change: (host: FakeHost) => void, probe?: Partial<Probe>): Promise<void> => {
    const bad = await broken(change, probe);
    t.equal(bad.length, 1, String(expected));
    t.match(bad[0], expected);
  };
  await only(/^broken .* file: .*ini:2: runtime: /, (host) => {
    host.disk.set(`/etc/appfleet/sites/${name}.ini`, '[site]\nruntime = nod\nimage = node:20\n');
  });
  await only(/^broken .* unit: .*is not there/, (host) => host.disk.delete(`/etc/systemd/system/${name}.service`));
  await only(/^warn .* unit: it will stay closed when the host boots/, (host) =>
    host.links.delete(`/etc/systemd/system/multi-user.target.wants/${name}.service`),
  );
  await only(/^broken .* needs: mysql is stopped/, (host) => {
    host.active.set('mysql.service', 'inactive');
    host.active.set('mysql-app.service', 'inactive');
  });
  await only(/^broken .* vhost: x.conf:1: unknown directive/, (host) =>
    host.refused.set(name, 'x.conf:1: unknown directive'),
  );
  await only(/^broken .* socket: .*socket is inactive/, (host) => host.active.set(`${name}.socket`, 'inactive'));
  await only(/^broken .* socket: .*wake.sock is gone/, (host) => host.accessed.delete(`${run}/wake.sock`));
  await only(/^broken .* socket: .*http.sock points to nothing/, (host) => host.links.delete(`${run}/http.sock`));
  await only(/^broken .* container: image node:20 is not on this host/, (host) => host.images.delete('node:20'));
  await only(/^broken .* container: out of memory/, (host) => host.disk.set(`${run}/failed`, '1 9.00 out of memory\n'));
  await only(/^broken .* container: .*no container of that name runs/, (host) => {
    awake(host);
    host.docker.delete(name);
  });
  await only(/^broken .* container: .*app.sock: ECONNREFUSED/, awake, {
    accepts: () => Promise.resolve('ECONNREFUSED'),
  });
  await only(
    /^broken .* container: it is paused: /,
    (host) => {
      awake(host);
      const container = host.docker.get(name);
      if (container !== undefined) Object.assign(container, { running: false, paused: true });
    },
    { head: () => Promise.reject(new Error('nobody is to wait for this')) },
  );
  await only(/^broken .* needs: mysql is paused/, (host) => {
    const container = host.docker.get('mysql');
    if (container !== undefined) Object.assign(container, { running: false, paused: true });
  });
  await only(/^broken .* unit: \/var\/lib\/appfleet\/start\/app.example.org is missing/, (host) => {
    awake(host);
    for (const path of host.disk.keys()) if (path.startsWith('/var/lib/appfleet/start/')) host.disk.delete(path);
  });
  await only(/^warn .* container: it cannot be seen: refused/, (host) => {
    awake(host);
    host.containers.version = () => Promise.reject(new Error('refused'));
    host.containers.list = () => new Promise(() => undefined);
  });
  await only(
    /^broken .* socket: \/run\/appfleet is missing/,
    (host) => {
      awake(host);
      host.gone.add('/run/appfleet');
      host.accessed.delete(`${run}/wake.sock`);
    },
    { accepts: () => Promise.resolve('ENOENT') },
  );
  await only(/^broken .* HTTP: nginx does not run/, (host) => host.active.delete('nginx.service'));
  await only(/^broken .* HTTP: nginx does not listen on port 80/, () => undefined, {
    listeners: () => Promise.resolve([]),
  });
  await only(/^broken .* HTTP: port 80 belongs to apache2 \(process 3\)/, () => undefined, {
    listeners: () => Promise.resolve([{ program: 'apache2', pid: 3 }]),
  });
  await only(/^warn .* DNS: app.example.org has no address/, () => undefined, { resolve: () => Promise.resolve([]) });
  await only(/^warn .* DNS: app.example.org leads to 198.51.100.1, which is no address of this host/, () => undefined, {
    resolve: () => Promise.resolve(['192.0.2.1', '198.51.100.1']),
  });
  await only(/^warn .* DNS: cannot be asked: queryA ETIMEOUT/, () => undefined, {
    resolve: () => Promise.reject(new Error('queryA ETIMEOUT app.example.org')),
  });
  await only(/^broken .* HTTP: nginx cannot get an answer/, awake, { head: () => Promise.resolve(answer(503)) });
  await only(/^warn .* HTTP: the program answers 500/, awake, { head: () => Promise.resolve(answer(500)) });
  await only(/^broken .* HTTP: nginx does not know this name/, () => undefined, {
    knock: () => Promise.resolve(answer(404, 'There is no site of this name here.\n')),
  });
  await only(/^broken .* HTTP: connect ECONNREFUSED/, () => undefined, {
    knock: () => Promise.reject(new Error('connect ECONNREFUSED 127.0.0.1:80')),
  });
  await only(/^warn .* HTTP: the site is closed, but nginx answers 200/, (host) =>
    host.active.set(`${name}.service`, 'inactive'),
  );
});

t.test('each trouble of the host is named', async (t) => {
  const expectOnHost = async (
    expected: RegExp,
    change: (host: FakeHost) => void,
    probe?: Partial<Probe>,
  ): Promise<void> => {
    const host = await wellHost();
    change(host);
    const { bad } = await examine(host, createFakeProbe(probe));
    t.ok(
      bad.some((line) => expected.test(line)),
      `${expected} in ${bad.join('; ')}`,
    );
  };
  const said = (stdout: string, code = 0, stderr = '') => ({ run: () => Promise.resolve({ code, stdout, stderr }) });
  await expectOnHost(/^warn host systemd: version 247 is older/, () => undefined, said('systemd 247 (247.3)'));
  await expectOnHost(/^broken host nginx: .*\[emerg\] bad/, () => undefined, said('', 1, 'nginx: [emerg] bad in x:1'));
  await expectOnHost(/^broken host nginx: it does not run/, (host) => host.active.delete('nginx.service'));
  await expectOnHost(/^broken host nginx: it failed/, (host) => host.active.set('nginx.service', 'failed'));
  await expectOnHost(/^broken host nginx: it runs and does not listen on port 80/, () => undefined, {
    listeners: () => Promise.resolve([]),
  });
  const shared = {
    listeners: () =>
      Promise.resolve([
        { program: 'nginx', pid: 1 },
        { program: 'apache2', pid: 3 },
      ]),
  };
  await expectOnHost(/^broken host nginx: port 80 belongs to apache2 \(process 3\) as well/, () => undefined, shared);
  const stranger = { listeners: () => Promise.resolve([{ program: 'an unknown program', pid: null }]) };
  await expectOnHost(
    /^broken host nginx: port 443 belongs to an unknown program: nginx cannot start/,
    (host) => host.active.delete('nginx.service'),
    stranger,
  );
  await expectOnHost(/^broken host folders: \/run\/appfleet is missing/, (host) => host.gone.add('/run/appfleet'));
  await expectOnHost(/^broken host folders: \/var\/lib\/appfleet is missing/, (host) =>
    host.gone.add('/var/lib/appfleet'),
  );
  await expectOnHost(/^broken host agent: it failed: /, (host) => host.active.set('appfleet.service', 'failed'));
  await expectOnHost(/^warn host nginx: it is not known to have loaded/, (host) => void (host.nginx.stale = true));
  await expectOnHost(/^broken host agent: it does not run/, (host) => host.active.delete('appfleet.service'));
  await expectOnHost(/^warn host agent: its socket/, (host) => host.active.delete('appfleet.socket'));
  await expectOnHost(/^broken host docker: its API 1.23/, (host) => {
    host.containers.version = () => Promise.resolve({ version: '1.11', api: '1.23' });
  });
  await expectOnHost(/^broken host docker: refused/, (host) => {
    host.containers.version = () => Promise.reject(new Error('refused'));
  });
  const listening = (port: string) => (host: FakeHost) =>
    void host.disk.set('/proc/net/tcp6', `  sl\n   1: 00000000000000000000000000000000:${port} 0:0000 0A 0\n`);
  await expectOnHost(/^broken host docker over TCP: .*2375/, listening('0947'));
  await expectOnHost(/^warn host docker over TCP: .*2376/, listening('0948'));
  await expectOnHost(/^broken host access times: /, () => undefined, { accessTimeMoves: () => Promise.resolve(false) });
  await expectOnHost(/^warn host memory: 1.0 GB/, (host) => host.disk.set('/proc/meminfo', 'MemTotal: 1000000 kB\n'));
  await expectOnHost(/^warn host in step: .*edited by hand: .*app.example.org.service/, (host) => {
    const unit = `/etc/systemd/system/${name}.service`;
    host.disk.set(unit, `${host.disk.get(unit) ?? ''}# mine\n`);
  });
  await expectOnHost(/^warn host in step: not applied yet: /, (host) =>
    host.disk.set('/etc/appfleet/sites/b.org.ini', '[site]\nruntime = static\nroot = /srv\n'),
  );
  await expectOnHost(/^broken host settings: .*appfleet.ini:2: /, (host) =>
    host.disk.set('/etc/appfleet/appfleet.ini', '[appfleet]\nx = 1\n'),
  );
  await expectOnHost(/^warn host vhosts: .*app.example.org: x.conf:1/, (host) =>
    host.refused.set(name, 'x.conf:1: no'),
  );
});

t.test('a root that is not there is named', async (t) => {
  const root = '/srv/www/app';
  const find = async (gone: boolean): Promise<string[]> => {
    const host = await wellHost();
    host.disk.set(
      `/etc/appfleet/sites/${name}.ini`,
      `[site]\nruntime = node\nimage = node:20\nneeds = mysql\nroot = ${root}\n`,
    );
    if (gone) host.gone.add(root);
    const { findings } = await examine(host, undefined, { word: name });
    return findings.filter(({ link }) => link === 'root').map(({ mark, detail }) => `${mark} ${detail}`);
  };
  t.strictSame(await find(false), []);
  t.strictSame(await find(true), [`broken ${root} is not there, so nginx finds no file of the site`]);
});

t.test('links below root are named where nginx follows none', async (t) => {
  const root = '/srv/app';
  const links = async (symlinks: string, names: readonly string[]): Promise<string[]> => {
    const host = await wellHost();
    host.disk.set(`${root}/style.css`, '');
    for (const each of names) host.links.set(`${root}/${each}`, '/elsewhere');
    host.disk.set(
      `/etc/appfleet/sites/${name}.ini`,
      `[site]\nruntime = node\nimage = node:20\nneeds = mysql\nroot = ${root}\n${symlinks}`,
    );
    const { findings } = await examine(host, undefined, { word: name });
    return findings.filter(({ link }) => link === 'links').map(({ mark, detail }) => `${mark} ${detail}`);
  };
  t.strictSame(await links('', ['uploads', 'storage']), [
    'ok nginx follows none (symlinks = no), of these in /srv/app: uploads, storage',
  ]);
  t.match(await links('', [...'abcdef']), [/: a, b, c, d, e, \.\.\.$/]);
  t.strictSame(await links('', []), []);
  t.strictSame(await links('symlinks = owner\n', ['uploads']), []);
});

t.test('a site that redirects to its www name is followed there', async (t) => {
  const host = await wellHost();
  host.disk.set(
    `/etc/appfleet/sites/${name}.ini`,
    `[site]\nruntime = node\nimage = node:20\naliases = www.${name}\nredirect = apex-to-www\n`,
  );
  awake(host);
  const heads: string[] = [];
  const probe = createFakeProbe({
    head: (_port, visited) => {
      heads.push(visited);
      const away = { ...answer(301), headers: { location: `http://www.${name}/` } };
      return Promise.resolve(visited === name ? away : answer(200));
    },
  });
  const { findings } = await examine(host, probe, { word: name });
  t.match(
    findings.find(({ link }) => link === 'HTTP'),
    { detail: 'it answers 200' },
  );
  t.same(heads, [name, `www.${name}`]);
});

t.test('a site that redirects to HTTPS is judged by what it answers there', async (t) => {
  const root = '/srv/www/example';
  const seen = async (status: number): Promise<string[]> => {
    const host = await wellHost();
    host.disk.set(
      `/etc/appfleet/sites/${name}.ini`,
      `[site]\nruntime = php-fpm\nimage = node:20\nroot = ${root}\naliases = www.${name}\nredirect = www-to-apex\n`,
    );
    awake(host);
    const asked: string[] = [];
    const probe = createFakeProbe({
      head: () => Promise.resolve({ ...answer(301), headers: { location: `https://${name}/` } }),
      secureHead: (port, visited) => {
        asked.push(`${visited}:${port}`);
        return Promise.resolve(answer(status));
      },
    });
    const { findings } = await examine(host, probe, { word: name });
    t.strictSame(asked, [`${name}:443`]);
    return findings.filter(({ link }) => link === 'HTTP').map(({ mark, detail }) => `${mark} ${detail}`);
  };
  t.strictSame(await seen(200), ['ok it answers 200']);
  t.strictSame(await seen(500), ['warn the program answers 500']);
  t.strictSame(await seen(404), ['warn its front page is not to be had (404)']);
});
