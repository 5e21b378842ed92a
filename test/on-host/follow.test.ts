/** What waits for a container's end (units/follow): how little it takes, and that nothing which happens meanwhile escapes it. */
import t from 'tap';
import { folder, openHost, until } from './clients/on-host.ts';

t.setTimeout(300_000);
const on = await openHost('on-host-follow');
const { http, sh } = on;

const program = `runtime = node\nimage = demo/node-app\ncommand = node ${folder}/app.cjs\nvolumes = ${folder}:${folder}:ro`;
const kinds: Readonly<Record<string, string>> = {
  'node.follow.test': program,
  'port.follow.test': 'runtime = container\nimage = demo/http\nport = 3000',
};
const names = Object.keys(kinds);
const [node = '', port = ''] = names;

const show = (name: string, property: string): Promise<string> =>
  sh(`systemctl show -P ${property} ${name}-app.service`);
const said = (name: string): Promise<string> =>
  sh(`journalctl --quiet --output=cat OBJECT_SYSTEMD_UNIT=${name}.service | tail -20`);
/** The main process, once it is the shell: what it runs, and the inode of its connection to Docker. */
const follower = async (name: string): Promise<{ pid: string; socket: string }> => {
  const pid = await show(name, 'MainPID');
  await until(`${name}: follow waits`, async () => (await sh(`cat /proc/${pid}/comm`)) === 'follow', 10);
  return { pid, socket: await sh(`readlink /proc/${pid}/fd/0`) };
};
const awake = async (name: string, what: string): Promise<string> => {
  await until(`${name}, ${what}: it serves`, async () => (await http(name)).status === 200, 10);
  await on.awake(name, 10);
  return (await follower(name)).pid;
};
const proxy = (name: string): Promise<string> =>
  sh(`pgrep --parent "$(systemctl show -P MainPID ${name}-app.service)" systemd-socket`);
const runs = async (name: string): Promise<boolean> =>
  (await sh(`docker inspect --format '{{.State.Running}}' ${name}`)) === 'true';
/** State and result of the unit, once it has come to rest. */
const rest = async (name: string): Promise<string> =>
  `${await show(name, 'ActiveState')} ${await show(name, 'Result')}`;
type Rest = 'failed exit-code' | 'inactive success';
const ends = (name: string, what: string, wanted: Rest): Promise<number> =>
  until(`${name}, ${what}: ${wanted}`, async () => (await rest(name)) === wanted, 15);
const mainProgram = (name: string): Promise<string> => sh(`docker inspect --format '{{.State.Pid}}' ${name}`);

/** systemd refuses to start what was started too often within some seconds. */
const engine = (verb: 'start' | 'stop' | 'restart'): Promise<string> => {
  const units = verb === 'restart' ? 'docker.service' : 'docker.socket docker.service';
  return sh(`systemctl reset-failed docker.socket docker.service; systemctl ${verb} ${units}`);
};

t.before(async () => {
  await on.clear('.follow.test');
  for (const [name, text] of Object.entries(kinds)) await on.putSite(name, `${text}\nidle = 1h\nstop_timeout = 1s`);
  const { code, stdout, stderr } = await on.apply();
  if (code !== 0) throw new Error(`${stdout}${stderr}`);
});
t.teardown(async () => {
  await engine('start');
  await on.clear('.follow.test');
});

t.test('it is small, and leaves nothing open but what it waits for', async (t) => {
  for (const name of names) {
    const pid = await awake(name, 'at first');
    const kilobytes = Number(
      await sh(`awk '/^Private_(Clean|Dirty)/ { s += $2 } END { print s }' /proc/${pid}/smaps_rollup`),
    );
    t.ok(kilobytes < 300, `${name}: ${kilobytes} kB are its own`);
    const open = (await sh(`cd /proc/${pid}/fd; for n in *; do echo "$n $(readlink $n)"; done`)).split('\n');
    t.match(open[0], /^0 socket:/, `${name}: the connection to Docker is its input`);
    t.equal(open.filter((line) => line.includes('docker') || /^[4-9]/.test(line)).length, 0, open.join(', '));
  }
});

t.test('dockerd restarted twice', async (t) => {
  for (const name of names) await awake(name, 'before');
  const before = await Promise.all(names.map(follower));
  const starts = await Promise.all(names.map(on.starts));
  for (const round of [1, 2]) {
    const old = await Promise.all(names.map(follower));
    await engine('restart');
    for (const [index, name] of names.entries()) {
      await until(
        `${name}, ${round}: it waits on a new connection`,
        async () => (await follower(name)).socket !== old[index]?.socket,
        15,
      );
      t.equal((await http(name)).status, 200, `${name}, ${round}: it serves`);
      t.equal((await follower(name)).pid, before[index]?.pid, `${name}, ${round}: the main process is the same`);
    }
  }
  t.strictSame(await Promise.all(names.map(on.starts)), starts, 'none was started again');
  for (const name of names) {
    await sh(`docker kill ${name}`);
    const seconds = await ends(name, 'killed after that', 'failed exit-code');
    t.ok(seconds < 2, `${name}: noticed after ${seconds.toFixed(1)} s`);
    t.equal(await show(name, 'ExecMainStatus'), '137', `${name}: with the container's exit code`);
    t.match(await said(name), /the container exited with code 137/, `${name}: and the journal says so`);
    await awake(name, 'after that');
  }
});

t.test('the container ends while dockerd is down', async (t) => {
  for (const name of names) {
    const pid = await awake(name, 'before');
    const main = await mainProgram(name);
    await engine('stop');
    t.equal((await http(name)).status, 200, `${name}: served without dockerd`);
    await sh(`kill -KILL ${main}`);
    await until(
      `${name}: its program is gone`,
      async () => (await sh(`kill -0 ${main} 2>/dev/null || echo gone`)) === 'gone',
    );
    t.equal(await show(name, 'MainPID'), pid, `${name}: the main process waits for dockerd`);
    await engine('start');
    await ends(name, 'dockerd is back', 'failed exit-code');
    t.match(await said(name), /the container exited with code 137/, name);
    await awake(name, 'after that');
  }
});

t.test('dockerd away for longer than anybody waits for its answer', async (t) => {
  const pid = await awake(node, 'before');
  await engine('stop');
  await sh('sleep 65');
  t.equal(await show(node, 'MainPID'), pid, 'the main process waits on');
  t.equal((await http(node)).status, 200);
  await engine('start');
  t.equal((await follower(node)).pid, pid);
  await sh(`docker stop ${node}`);
  await ends(node, 'docker stop', 'inactive success');
});

t.test('it is killed by hand', async (t) => {
  for (const name of names)
    for (const signal of ['KILL', 'TERM', 'HUP']) {
      const pid = await awake(name, `before ${signal}`);
      await sh(`kill -${signal} ${pid}`);
      await until(
        `${name}, ${signal}: the unit is down`,
        async () => /^(inactive|failed)$/.test(await show(name, 'ActiveState')),
        15,
      );
      t.notOk(await runs(name), `${name}, ${signal}: the container does not run on without it`);
      t.equal(
        await sh(`pgrep --full --list-full '[f]ollow ${name}' || true`),
        '',
        `${name}, ${signal}: nothing is left`,
      );
      await awake(name, `after ${signal}`);
    }
});

t.test('the proxy ends', async (t) => {
  const kill = async (what: string): Promise<void> => {
    const since = await show(port, 'NRestarts');
    await sh(`kill -KILL ${await proxy(port)}`);
    const seconds = await ends(port, what, 'failed exit-code');
    t.ok(seconds < 2, `${what}: noticed after ${seconds.toFixed(1)} s`);
    t.match(await sh(`cat /run/appfleet/${port}/failed`), /systemd-socket-proxyd ended/, what);
    t.notOk(await runs(port), `${what}: the container has ended with it`);
    t.equal(await show(port, 'NRestarts'), since);
    await awake(port, `after ${what}`);
  };
  await awake(port, 'before');
  await kill('while all is well');
  const { socket } = await follower(port);
  await engine('restart');
  await until('a new connection', async () => (await follower(port)).socket !== socket, 15);
  await kill('after a restart of dockerd');
  await engine('stop');
  await sh(`kill -KILL ${await proxy(port)}`);
  await until('the unit is down while dockerd is', async () => (await show(port, 'ActiveState')) !== 'active', 60);
  await engine('start');
  await awake(port, 'after both were down');
  // A signal that means nothing: stopped and continued, not ended.
  const pid = await show(port, 'MainPID');
  await sh(`p=${await proxy(port)}; kill -STOP $p; sleep 0.5; kill -CONT $p`);
  await until('it waits again', async () => (await follower(port)).pid === pid, 10);
  t.equal((await http(port)).status, 200, 'a proxy that only paused is no reason to end');
});

t.test('what is done to the container by hand', async (t) => {
  for (const name of names) {
    const deeds = [
      ['docker stop', 'inactive success', /exited with code (0|143)/],
      ['docker kill', 'failed exit-code', /exited with code 137/],
      ['docker rm --force', 'failed exit-code', /exited with code 137/],
    ] as const;
    for (const [deed, result, words] of deeds) {
      // Its program does not listen to SIGTERM.
      if (name === port && deed === 'docker stop') continue;
      await awake(name, `before ${deed}`);
      await sh(`${deed} ${name}`);
      await ends(name, deed, result);
      t.match(await said(name), words, `${name}: ${deed}`);
    }
    await awake(name, 'before docker restart');
    const before = await mainProgram(name);
    await sh(`docker restart ${name}`);
    await awake(name, 'docker restart');
    t.not(await mainProgram(name), before, `${name}: docker restart`);
  }
});

t.test('the next stop is as quick as ever', async (t) => {
  for (const name of names) {
    await awake(name, 'before');
    await sh(`systemctl stop ${name}-app.service`);
    t.equal(await rest(name), 'inactive success', name);
    t.match(await said(name), /asleep until the next request$/, name);
    t.equal(
      await sh(`ls /run/appfleet/${name} | grep -E '^(over|stopping|left)$' || true`),
      '',
      `${name}: no marks are left`,
    );
  }
});
