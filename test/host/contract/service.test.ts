/*
 * What a service of ours and systemd say to each other: readiness, status, watchdog, passed sockets. Runs inside a test
 * host as root: bundled into one file, started with `node`. The same file is the service when it is started as one.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { createBus } from '../../../agent/adapters/bus.ts';
import { createSystemd } from '../../../agent/adapters/systemd.ts';
import { request } from '../../../agent/net/http-client.ts';
import { takeSockets } from '../../../agent/net/listen-fds.ts';
import { acquire } from '../../../agent/net/lock.ts';
import { createNotify } from '../../../agent/net/notify.ts';
import { removeUnits, run, until, writeUnit } from './fixture.ts';

const role = process.env['AF_T_ROLE'];

const serve = async (): Promise<void> => {
  const notify = createNotify(process.env, process.pid);
  const sockets = takeSockets(process.env, process.pid);
  const release = await acquire('af-t-lock');
  const server = createServer((_, answer) => {
    answer.setHeader('content-type', 'application/json');
    answer.end(JSON.stringify({ sockets, locked: release !== null, watchdogMs: notify.watchdogMs }));
  });
  const [socket] = sockets;
  if (socket) server.listen({ fd: socket.fd });
  process.on('SIGTERM', () => {
    notify.stopping();
    server.close();
    server.closeAllConnections();
    process.exit(0);
  });
  await notify.ready('serving\nnothing else');
  if (role === 'healthy' && notify.watchdogMs !== null) setInterval(() => void notify.watchdog(), notify.watchdogMs);
  else setInterval(() => undefined, 60_000);
};

const suite = (): void => {
  const units = createSystemd(createBus());
  before(removeUnits);
  after(() => {
    units.close();
    removeUnits();
  });

  const service = (kind: string, more = ''): string =>
    writeUnit(
      `${kind}.service`,
      `[Service]\nType=notify\nExecStart=${process.execPath} ${process.argv[1]}\nEnvironment=AF_T_ROLE=${kind}\n` +
        `KillMode=mixed\nTimeoutStartSec=20\n${more}`,
    );
  const show = (unit: string, property: string): string => run('systemctl', 'show', '-P', property, unit).trim();

  test('a socket of systemd is served by the service it wakes, which says that it is ready', async () => {
    const unit = service('socketed');
    const path = '/run/af-t/socketed.sock';
    const socket = writeUnit(
      'socketed.socket',
      `[Socket]\nListenStream=${path}\nFileDescriptorName=api\nRemoveOnStop=yes\n`,
    );
    await units.start(socket);
    const { body } = await request({ socket: path, method: 'GET', path: '/' });
    assert.deepEqual(body, { sockets: [{ name: 'api', fd: 3 }], locked: true, watchdogMs: null });
    await until('ready', () => show(unit, 'ActiveState') === 'active');
    assert.equal(show(unit, 'StatusText'), 'serving nothing else');

    // Another of the same kind finds the lock taken; killed, it is free at once.
    const second = service('second');
    const other = '/run/af-t/second.sock';
    const secondSocket = writeUnit('second.socket', `[Socket]\nListenStream=${other}\nRemoveOnStop=yes\n`);
    await units.start(secondSocket);
    const asked = await request({ socket: other, method: 'GET', path: '/' });
    const unnamed = [{ name: secondSocket, fd: 3 }];
    assert.deepEqual(asked.body, { sockets: unnamed, locked: false, watchdogMs: null });
    await units.stop(second);
    run('systemctl', 'kill', '--signal=KILL', unit);
    await until('killed', () => show(unit, 'ActiveState') === 'failed');
    const again = await request({ socket: other, method: 'GET', path: '/' });
    assert.equal((again.body as { locked: boolean }).locked, true);

    const began = Date.now();
    await units.stop(second);
    assert.ok(Date.now() - began < 2000, 'SIGTERM is obeyed at once');
    assert.equal(show(second, 'Result'), 'success');
    await units.stop(socket);
    await units.stop(secondSocket);
  });

  test('signs of life keep the watchdog calm; without them it bites', async () => {
    const healthy = service('healthy', 'WatchdogSec=1\n');
    const silent = service('silent', 'WatchdogSec=1\n');
    await Promise.all([units.start(healthy), units.start(silent)]);
    await until('the silent one is ended', () => show(silent, 'Result') === 'watchdog');
    assert.equal(show(healthy, 'ActiveState'), 'active');
    await units.stop(healthy);
  });
};

if (role === undefined) suite();
else void serve();
