/*
 * The Docker adapter against the real Engine. Runs inside a test host as root: bundled into one file, started with `node`,
 * TAP on stdout, exit code 1 when something failed. node:test because tap cannot be bundled.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createDocker } from '../../../agent/adapters/docker.ts';
import { named, run, until } from './fixture.ts';
import { startRegistry } from './registry.ts';

/** An image of the test host that has a shell and needs no network. */
const image = 'alpine-like';
const docker = createDocker();

const removeContainers = (): void => {
  const ids = run('docker', 'ps', '-aq', '--filter', `name=^${named('')}`)
    .split('\n')
    .filter(Boolean);
  if (ids.length > 0) run('docker', 'rm', '-f', ...ids);
};
before(removeContainers);
after(removeContainers);

/** Makes a container of these tests; ours unless the labels say otherwise. */
const create = (verb: 'run' | 'create', name: string, script: string, ours = true): string => {
  const full = named(name);
  const labels = ours ? ['--label', `appfleet.site=${full}`, '--label', 'appfleet.spec=f00'] : [];
  const detach = verb === 'run' ? ['-d'] : [];
  run('docker', verb, ...detach, '--network', 'none', '--name', full, ...labels, image, 'sh', '-c', script);
  return full;
};
const ours = async () => (await docker.list()).filter(({ name }) => name.startsWith(named('')));

test('version', async () => {
  const { version, api } = await docker.version();
  assert.match(version, /^\d+\.\d+/);
  assert.match(api, /^1\.\d+$/);
});

test('containers of ours are listed, running or not; those of others are neither seen nor removed', async () => {
  const running = create('run', 'running', 'exec sleep 600');
  const created = create('create', 'created', 'true');
  const foreign = create('run', 'foreign', 'exec sleep 600', false);
  const found = (await ours()).sort((a, b) => a.name.localeCompare(b.name));
  assert.deepEqual(
    found.map(({ name, site, spec, running }) => ({ name, site, spec, running })),
    [
      { name: created, site: created, spec: 'f00', running: false },
      { name: running, site: running, spec: 'f00', running: true },
    ],
  );
  assert.match(found[0]?.imageId ?? '', /^sha256:/);

  await assert.rejects(docker.remove(foreign), { code: 'AF_DOCKER', message: /it is not ours/ });
  assert.match(run('docker', 'ps', '--format', '{{.Names}}'), new RegExp(foreign));
  await Promise.all([docker.remove(running), docker.remove(running), docker.remove(created)]);
  await docker.remove(running);
  assert.deepEqual(await ours(), []);
  removeContainers();
});

test('memory is what the container holds', async () => {
  const name = create(
    'run',
    'memory',
    'dd if=/dev/zero of=/dev/shm/x bs=1M count=30 && touch /dev/shm/done && exec sleep 600',
  );
  await until('filled', () => run('docker', 'exec', name, 'ls', '/dev/shm').includes('done'));
  const bytes = (await docker.memory(name)) ?? 0;
  assert.ok(bytes > 30e6 && bytes < 45e6, `${bytes} bytes`);
  const began = performance.now();
  await docker.memory(name);
  console.log(`# memory of one container: ${(performance.now() - began).toFixed(1)} ms`);
  await docker.remove(name);
  assert.equal(await docker.memory(name), null);
});

test('images: present, absent, pulled, refused', async () => {
  assert.equal(await docker.hasImage(image), true);
  assert.equal(await docker.hasImage('nobody/has:this'), false);
  const registry = await startRegistry();
  const good = `${registry.address}/good:1`;
  try {
    const lines: string[] = [];
    await docker.pull(good, (line) => lines.push(line));
    assert.equal(await docker.hasImage(good), true);
    assert.ok(
      lines.some((line) => /: 2 of 2 layers, 5\.\d of 5\.\d MB$/.test(line)),
      lines.join('\n'),
    );
    assert.ok(lines.length < 20);
    await assert.rejects(
      docker.pull(`${registry.address}/absent:1`, () => undefined),
      {
        code: 'AF_DOCKER',
        message: /^cannot pull .*absent/,
      },
    );
    const torn = await docker.pull(`${registry.address}/torn:1`, () => undefined).catch((error: unknown) => error);
    assert.ok(torn instanceof Error && 'code' in torn && torn.code === 'AF_DOCKER');
    console.log(`# a torn image: ${torn.message}`);
    assert.equal(await docker.hasImage(`${registry.address}/torn:1`), false);
  } finally {
    registry.stop();
    run('sh', '-c', `docker image rm -f ${good} || true`);
  }
  await assert.rejects(
    docker.pull('127.0.0.1:1/x', () => undefined),
    { code: 'AF_DOCKER', message: /refused/ },
  );
});

for (const [how, interrupt] of [
  ['restarted', () => run('systemctl', 'restart', 'docker.service')],
  ['killed', () => run('systemctl', 'kill', '--signal=KILL', '--kill-whom=main', 'docker.service')],
] as const) {
  test(`events arrive, also after the Engine was ${how}`, async () => {
    run('systemctl', 'reset-failed', 'docker.service');
    const seen: { site: string | null; action: string }[] = [];
    const stop = docker.watch((event) => seen.push(event));
    const has = (site: string | null, action: string) => () =>
      seen.some((event) => event.site === site && event.action === action);
    await until('connected', has(null, 'connected'));
    const first = create('run', `first-${how}`, 'exit 3');
    await until('its end is told', has(first, 'die'));
    assert.ok(has(first, 'start')());
    create('run', `other-${how}`, 'exit 3', false);

    seen.length = 0;
    const began = Date.now();
    interrupt();
    await until('connected again', has(null, 'connected'), 40);
    console.log(`# the event stream was back ${Date.now() - began} ms after the interruption began`);
    const second = create('run', `second-${how}`, 'exit 3');
    await until('its end is told', has(second, 'die'));
    assert.ok(
      seen.every(({ site }) => site === null || site === second || site === first),
      JSON.stringify(seen),
    );
    stop();
    seen.length = 0;
    await docker.remove(first);
    await docker.remove(second);
    assert.deepEqual(seen, [], 'stopped is stopped');
  });
}

test('an engine that is away is an error that says where to look', async () => {
  await assert.rejects(createDocker('/run/af-t-nowhere.sock').list(), {
    code: 'AF_DOCKER',
    hint: 'systemctl status docker',
  });
});
