import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, link, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { connect, createServer as createNetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t from 'tap';
import type { Test } from 'tap';
import { request, requestLines } from '../../agent/net/http-client.ts';
import { takeSockets } from '../../agent/net/listen-fds.ts';
import { acquire } from '../../agent/net/lock.ts';
import { createNotify } from '../../agent/net/notify.ts';

const node = [process.execPath, '--import=tsx', '--input-type=module', '-e'] as const;
/** A folder with a short path: tap's own are too long for a socket, which the kernel wants within 107 bytes. */
const shortFolder = async (t: Test): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), 'af-t-'));
  t.teardown(() => rm(path, { recursive: true }));
  return path;
};
const moduleUrl = (path: string): string => JSON.stringify(new URL(`../../agent/net/${path}`, import.meta.url).href);

t.test('sockets from systemd', (t) => {
  const take = (env: NodeJS.ProcessEnv): unknown => takeSockets(env, 42);

  t.test('are taken by name and their variables are gone', (t) => {
    const env = { LISTEN_PID: '42', LISTEN_FDS: '2', LISTEN_FDNAMES: 'api:metrics', PATH: '/bin' };
    t.same(take(env), [
      { name: 'api', fd: 3 },
      { name: 'metrics', fd: 4 },
    ]);
    t.same(env, { PATH: '/bin' });
    t.same(take(env), [], 'a second time there are none');
    t.end();
  });

  t.test('of another process are not ours', (t) => {
    const env = { LISTEN_PID: '41', LISTEN_FDS: '1' };
    t.same(take(env), []);
    t.same(env, {}, 'and are not passed on either');
    t.end();
  });

  for (const count of ['', '-1', '1x', '99999', 'Infinity', '0']) {
    t.same(take({ LISTEN_PID: '42', LISTEN_FDS: count }), [], `LISTEN_FDS=${count}`);
  }
  t.same(take({}), []);
  t.same(take({ LISTEN_PID: '42', LISTEN_FDS: '1' }), [{ name: 'unknown', fd: 3 }]);

  t.test('serve in the process that they were passed to', async (t) => {
    const path = join(await shortFolder(t), 'passed.sock');
    const listener = createNetServer().listen(path);
    await once(listener, 'listening');
    // Node passes the listening socket as descriptor 3, as systemd would; LISTEN_PID can only be known inside.
    const script = `
      import { createServer } from 'node:http';
      const { takeSockets } = await import(${moduleUrl('listen-fds.ts')});
      process.env.LISTEN_PID = String(process.pid);
      const [socket] = takeSockets(process.env, process.pid);
      const server = createServer((_, answer) => answer.end(JSON.stringify([socket, process.env.LISTEN_FDS ?? 'gone'])));
      server.listen({ fd: socket.fd }, () => console.log('listening'));`;
    const [program, ...words] = [...node, script];
    const child = spawn(program, words, {
      // The descriptor of a listening server; Node has no public name for it.
      stdio: ['ignore', 'pipe', 'inherit', (listener as unknown as { _handle: { fd: number } })._handle.fd],
      env: { ...process.env, LISTEN_FDS: '1', LISTEN_FDNAMES: 'api' },
    });
    t.teardown(() => child.kill('SIGKILL'));
    await once(child.stdout ?? child, 'data');
    // Two processes listen now, and either may be given the connection. Closing removes the name, so it needs another one.
    const kept = `${path}.kept`;
    await link(path, kept);
    listener.close();
    await once(listener, 'close');
    const answer = await request({ socket: kept, method: 'GET', path: '/' });
    t.same(JSON.parse(String(answer.body)), [{ name: 'api', fd: 3 }, 'gone']);
  });
  t.end();
});

t.test('notify', async (t) => {
  // A stand-in for the program that notes its arguments: the real one is used by the tests on the host.
  const directory = t.testdir();
  const bin = join(directory, 'bin');
  await mkdir(bin);
  const install = async (script: string): Promise<void> => {
    await writeFile(join(bin, 'systemd-notify'), `#!/bin/sh\n${script}\n`);
    await chmod(join(bin, 'systemd-notify'), 0o755);
  };
  const log = join(directory, 'log');
  const env = { PATH: `${bin}:/bin:/usr/bin`, NOTIFY_SOCKET: '/run/systemd/notify', WATCHDOG_USEC: '30000000' };

  await install(`for word in "$@"; do echo "$word" >> ${log}; done`);
  const notify = createNotify(env, 7);
  t.equal(notify.watchdogMs, 15_000);
  await notify.ready('3 sites\nMAINPID=1');
  await notify.watchdog();
  t.same((await readFile(log, 'utf8')).split('\n'), ['--ready', '--status=3 sites MAINPID=1', 'WATCHDOG=1', '']);

  t.equal(createNotify({ ...env, WATCHDOG_PID: '8' }, 7).watchdogMs, null, 'a watchdog for another process');
  t.equal(createNotify({}, 7).watchdogMs, null);

  await createNotify({ PATH: bin }, 7).status('nobody listens');
  t.notMatch(await readFile(log, 'utf8'), /nobody/);

  await install('exec sleep 60');
  const began = Date.now();
  await createNotify(env, 7, 100).ready('hangs');
  t.ok(Date.now() - began < 5000, 'a program that hangs is given up');
  const before = Date.now();
  createNotify(env, 7, 100).stopping();
  t.ok(Date.now() - before < 100, 'saying goodbye waits for nothing');

  await createNotify({ ...env, PATH: '/nowhere' }, 7).ready('a missing program is no trouble');
});

t.test('lock', async (t) => {
  const name = `af-t-${process.pid}`;
  const release = await acquire(name);
  t.ok(release);
  t.equal(await acquire(name), null, 'the second is refused');
  await release?.();
  const again = await acquire(name);
  t.ok(again, 'given back, it can be taken again');
  const [closed] = (await once(connect({ path: `\0${name}` }), 'close')) as unknown[];
  t.equal(closed, false, 'who connects is sent away');
  await again?.();
  t.notOk(existsSync(name), 'it leaves no file');

  const script = `
    const { acquire } = await import(${moduleUrl('lock.ts')});
    console.log(await acquire(${JSON.stringify(name)}) ? 'taken' : 'refused');
    setInterval(() => {}, 1000);`;
  const [program, ...words] = [...node, script];
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout ?? child, 'data')) as [Buffer];
  t.equal(line.toString(), 'taken\n');
  t.equal(await acquire(name), null);
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
  const freed = await acquire(name);
  t.ok(freed, 'SIGKILL frees it');
  await freed?.();
});

t.test('requests over a unix socket', async (t) => {
  const socket = join(await shortFolder(t), 'api.sock');
  const routes: Record<string, RequestListener> = {
    '/json': (_, answer) => {
      answer.setHeader('content-type', 'application/json; charset=utf-8').end('{"state":"awake"}');
    },
    '/nothing': (_, answer) => {
      answer.writeHead(204).end();
    },
    '/text': (_, answer) => {
      answer.writeHead(404).end('no such site');
    },
    '/broken-json': (_, answer) => {
      answer.setHeader('content-type', 'application/json').end('{');
    },
    '/echo': (message, answer) => {
      void text(message).then((body) =>
        answer.setHeader('content-type', 'application/json').end(JSON.stringify([message.method, body])),
      );
    },
    '/never': () => undefined,
    '/half': (_, answer) => {
      answer.write('one\ntwo\nthr');
      setTimeout(() => answer.destroy(), 20);
    },
    '/lines': (_, answer) => {
      answer.write('one\r\ntw');
      setTimeout(() => answer.end('o\n\nlast'), 20);
    },
  };
  const server = createServer((message, answer) => routes[message.url ?? '']?.(message, answer)).listen(socket);
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });

  const get = (path: string, timeoutMs = 5000) => request({ socket, method: 'GET', path, timeoutMs });
  t.same(await get('/json'), { status: 200, body: { state: 'awake' } });
  t.same(await get('/nothing'), { status: 204, body: null });
  t.same(await get('/text'), { status: 404, body: 'no such site' });
  t.same(await request({ socket, method: 'POST', path: '/echo', body: { site: 'exämple' } }), {
    status: 200,
    body: ['POST', '{"site":"exämple"}'],
  });
  await t.rejects(get('/broken-json'), { code: 'AF_API' });
  await t.rejects(get('/half'), { code: 'AF_API' });
  await t.rejects(get('/never', 50), { code: 'AF_API', message: /no answer within 0.05 s/ });
  await t.rejects(request({ socket: `${socket}.absent`, method: 'GET', path: '/' }), {
    code: 'AF_API',
    hint: /appfleet\.socket/,
  });

  const lines: string[] = [];
  t.equal(await requestLines({ socket, method: 'GET', path: '/lines' }, (line) => lines.push(line)), 200);
  t.same(lines, ['one', 'two', '', 'last']);
  await t.rejects(
    requestLines({ socket, method: 'GET', path: '/half' }, () => undefined),
    { code: 'AF_API' },
  );
});
