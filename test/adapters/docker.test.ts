import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { memoryGroup, memoryHierarchy, memoryOfProcess, usedMemory } from '../../agent/adapters/cgroup.ts';
import { parseEvent } from '../../agent/adapters/docker-events.ts';
import { createDocker } from '../../agent/adapters/docker.ts';
import { createPullProgress } from '../../agent/adapters/pull-progress.ts';
import { createFakeTimers, settle } from '../net/fake-timers.ts';

type Route = (message: IncomingMessage, answer: ServerResponse) => void;

/** A stand-in for the Engine that answers as told; test/host/contract runs the same adapter against the real one. */
const createEngine = async (t: Test, routes: Record<string, Route>) => {
  const dir = await mkdtemp(join(tmpdir(), 'af-t-'));
  const path = join(dir, 'docker.sock');
  const requests: string[] = [];
  const listen = async (): Promise<ReturnType<typeof createServer>> => {
    const server = createServer((message, answer) => {
      const url = new URL(message.url ?? '', 'http://engine');
      requests.push(`${message.method} ${decodeURIComponent(url.pathname + url.search)}`);
      const route = routes[`${message.method} ${url.pathname}`];
      if (route) return route(message, answer);
      answer.writeHead(404, { 'content-type': 'application/json' }).end('{"message":"No such thing"}');
    }).listen(path);
    await once(server, 'listening');
    return server;
  };
  let server = await listen();
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  t.teardown(async () => {
    await stop();
    await rm(dir, { recursive: true });
  });
  const timers = createFakeTimers();
  return {
    requests,
    timers,
    stop,
    start: async () => (server = await listen()),
    docker: createDocker(path, timers),
  };
};

const json =
  (body: unknown, status = 200): Route =>
  (_, answer) => {
    answer.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };

t.test('containers', async (t) => {
  const inspected = (labels: Record<string, string>) => json({ Id: 'abc123', Config: { Labels: labels }, State: {} });
  const { docker, requests } = await createEngine(t, {
    'GET /containers/json': json([
      {
        Names: ['/blog.example.org'],
        Labels: { 'appfleet.site': 'blog.example.org', 'appfleet.spec': 'f00' },
        State: 'running',
        ImageID: 'sha256:1',
      },
      { Names: ['/x'], Labels: { 'appfleet.site': 'x' }, State: 'exited', ImageID: 'sha256:2' },
    ]),
    'GET /containers/ours/json': inspected({ 'appfleet.site': 'ours' }),
    'GET /containers/busy/json': inspected({ 'appfleet.site': 'busy' }),
    'GET /containers/theirs/json': inspected({ app: 'postgres' }),
    'DELETE /containers/abc123': (_, answer) => answer.writeHead(204).end(),
    'GET /version': json({ Version: '26.1.5', ApiVersion: '1.45' }),
    'GET /images/known:1/json': json({ Id: 'sha256:1' }),
    'GET /images/trouble/json': json({ message: 'disk on fire' }, 500),
  });
  process.env['DOCKER_HOST'] = 'tcp://192.0.2.1:2375';
  t.teardown(() => delete process.env['DOCKER_HOST']);

  t.same(await docker.list(), [
    {
      name: 'blog.example.org',
      site: 'blog.example.org',
      spec: 'f00',
      running: true,
      paused: false,
      imageId: 'sha256:1',
    },
    { name: 'x', site: 'x', spec: '', running: false, paused: false, imageId: 'sha256:2' },
  ]);
  t.match(requests.pop(), /^GET \/containers\/json\?.*appfleet\.site/, 'one call, filtered, without a version');
  t.same(await docker.version(), { version: '26.1.5', api: '1.45' });
  t.equal(await docker.hasImage('known:1'), true);
  t.equal(await docker.hasImage('unknown'), false);
  await t.rejects(docker.hasImage('trouble'), {
    code: 'AF_DOCKER',
    message: 'cannot look for image trouble: disk on fire',
  });

  await docker.remove('ours');
  t.equal(requests.pop(), 'DELETE /containers/abc123?force=true', 'by the id that carried the label');
  await docker.remove('absent');
  requests.length = 0;
  await t.rejects(docker.remove('theirs'), { code: 'AF_DOCKER', message: /it is not ours/ });
  t.same(
    requests.filter((line) => line.startsWith('DELETE')),
    [],
  );
  t.equal(await docker.memory('absent'), null);
  t.equal(await docker.memory('ours'), null, 'not running');
});

t.test('an engine that is not there', async (t) => {
  const docker = createDocker('/nowhere/docker.sock');
  await t.rejects(docker.list(), { code: 'AF_DOCKER', hint: 'systemctl status docker' });
});

t.test('pull', async (t) => {
  const stream =
    (items: unknown[], tear = false): Route =>
    (_, answer) => {
      answer.writeHead(200, { 'content-type': 'application/json' });
      answer.write(items.map((item) => JSON.stringify(item)).join('\r\n') + '\r\n');
      if (tear) setTimeout(() => answer.destroy(), 20);
      else answer.end();
    };
  const routes: Record<string, Route> = {};
  const { docker, requests } = await createEngine(t, routes);
  const pull = async (image: string, route: Route): Promise<string[]> => {
    routes['POST /images/create'] = route;
    const lines: string[] = [];
    await docker.pull(image, (line) => lines.push(line));
    return lines;
  };

  const lines = await pull(
    'wordpress:php8.2-fpm',
    stream([
      { status: 'Pulling from library/wordpress', id: 'php8.2-fpm' },
      { status: 'Pulling fs layer', id: 'a' },
      { status: 'Downloading', id: 'a', progressDetail: { current: 5_000_000, total: 20_000_000 } },
      { status: 'Pull complete', id: 'a' },
      { status: 'Status: Downloaded newer image for wordpress:php8.2-fpm' },
    ]),
  );
  t.same(lines, [
    'wordpress:php8.2-fpm: Pulling from library/wordpress',
    'wordpress:php8.2-fpm: 0 of 1 layers',
    'wordpress:php8.2-fpm: 1 of 1 layers, 20 of 20 MB',
    'wordpress:php8.2-fpm: Status: Downloaded newer image for wordpress:php8.2-fpm',
  ]);
  t.equal(requests.pop(), 'POST /images/create?fromImage=wordpress&tag=php8.2-fpm');
  await pull('localhost:5000/shop', stream([]));
  t.equal(requests.pop(), 'POST /images/create?fromImage=localhost:5000/shop&tag=latest', 'never all tags');

  await t.rejects(
    pull('x', stream([{ status: 'Pulling fs layer', id: 'a' }, { error: 'toomanyrequests: slow down' }])),
    {
      code: 'AF_DOCKER',
      message: 'cannot pull x: toomanyrequests: slow down',
    },
  );
  await t.rejects(pull('x', json({ message: 'manifest for x:latest not found' }, 404)), {
    code: 'AF_DOCKER',
    message: 'cannot pull x: manifest for x:latest not found',
  });
  await t.rejects(pull('x', stream([{ status: 'Pulling fs layer', id: 'a' }], true)), { code: 'AF_DOCKER' });
});

t.test('a pull says little: when layers change their state, at most twice a second', (t) => {
  let now = 0;
  const lines: string[] = [];
  const feed = createPullProgress(
    'x',
    () => now,
    (line) => lines.push(line),
  );
  for (let layer = 0; layer < 20; layer++) feed({ id: String(layer), status: 'Pulling fs layer' });
  t.same(lines, ['x: 0 of 1 layers']);
  for (let current = 0; current <= 10_000_000; current += 10_000) {
    now += 1;
    feed({ id: '0', status: 'Downloading', progressDetail: { current, total: 10_000_000 } });
  }
  t.same(lines.slice(1), ['x: 0 of 20 layers, 5.0 of 10 MB', 'x: 0 of 20 layers, 10.0 of 10 MB']);
  for (let layer = 0; layer < 20; layer++) feed({ id: String(layer), status: 'Already exists' });
  t.equal(lines.at(-1), 'x: 20 of 20 layers, 10 of 10 MB', 'the end is always said');
  t.end();
});

t.test('images that come', async (t) => {
  let send: (text: string) => void = () => undefined;
  const engine = await createEngine(t, {
    'GET /events': (_, answer) => {
      answer.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
      send = (text) => answer.write(text);
    },
  });
  let came = 0;
  const stop = engine.docker.watchImages(() => came++);
  const until = async (count: number): Promise<void> => {
    for (let i = 0; came < count; i++) {
      if (i === 200) throw new Error(`only ${came}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  await until(1);
  t.match(decodeURIComponent(engine.requests[0] ?? ''), /"image".*"tag"/);
  send(`${JSON.stringify({ Type: 'image', Action: 'tag' })}\n`);
  await until(2);
  stop();
  t.equal(came, 2);
});

t.test('events', async (t) => {
  let send: (text: string) => void = () => undefined;
  const engine = await createEngine(t, {
    'GET /events': (_, answer) => {
      answer.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
      send = (text) => answer.write(text);
    },
  });
  const seen: unknown[] = [];
  const stop = engine.docker.watch((event) => seen.push(event));
  const until = async (count: number): Promise<void> => {
    for (let i = 0; seen.length < count; i++) {
      if (i === 200) throw new Error(`only ${JSON.stringify(seen)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
      engine.timers.pass(1000);
    }
  };
  const event = (site: string, action: string): string =>
    `${JSON.stringify({ Type: 'container', Action: action, Actor: { Attributes: { 'appfleet.site': site } } })}\n`;

  await until(1);
  t.match(engine.requests[0], /appfleet\.site/);
  const [head, tail] = [event('c', 'oom').slice(0, 20), event('c', 'oom').slice(20)];
  send(event('a', 'die') + event('b', 'exec_start: sh -c ls') + head);
  await until(3);
  send(tail);
  await until(4);
  await engine.stop();
  await new Promise((resolve) => setTimeout(resolve, 50));
  engine.timers.pass(1000);
  await settle();
  await engine.start();
  await until(5);
  send(event('d', 'start'));
  await until(6);
  t.same(seen, [
    { site: null, action: 'connected' },
    { site: 'a', action: 'die' },
    { site: 'b', action: 'exec_start' },
    { site: 'c', action: 'oom' },
    { site: null, action: 'connected' },
    { site: 'd', action: 'start' },
  ]);
  stop();
  send(event('e', 'start'));
  await settle();
  engine.timers.pass(60_000);
  await settle();
  t.equal(seen.length, 6, 'stopped is stopped');
  t.equal(engine.timers.armed(), 0);

  t.equal(parseEvent('', 'l'), null);
  t.equal(parseEvent('{"Action":"pull","Actor":{"Attributes":{}}}', 'l'), null);
});

t.test('memory from cgroup files', (t) => {
  const v2 = '30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate';
  const v1 = [
    '25 20 0:22 / /proc rw - proc proc rw',
    '31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
    '35 30 0:31 / /sys/fs/cgroup/cpu\\040set rw - cgroup cgroup rw,cpuset',
    '36 30 0:32 /machine/test /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory',
  ].join('\n');
  t.same(memoryHierarchy(v2), { version: 2, root: '/', mountPoint: '/sys/fs/cgroup' });
  t.same(memoryHierarchy(v1), { version: 1, root: '/machine/test', mountPoint: '/sys/fs/cgroup/memory' });
  t.equal(memoryHierarchy(''), null);

  t.equal(memoryGroup('0::/system.slice/docker-1.scope\n', 2), '/system.slice/docker-1.scope');
  t.equal(memoryGroup('9:name=systemd:/x\n4:cpu,memory:/docker/1\n0::/y\n', 1), '/docker/1');
  t.equal(memoryGroup('9:cpu:/x\n', 1), null);

  t.equal(usedMemory('1000\n', 'anon 1\ninactive_file 300\n', 2), 700);
  t.equal(usedMemory('1000\n', 'inactive_file 1\ntotal_inactive_file 400\n', 1), 600);
  t.equal(usedMemory('100\n', 'inactive_file 300\n', 2), 0);
  t.equal(usedMemory('', '', 2), null);
  t.equal(usedMemory('max\n', '', 2), null);
  t.equal(memoryOfProcess(2 ** 30), null, 'a process that is gone');
  t.end();
});
