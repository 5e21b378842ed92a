/* units/node-preload.cjs in real Node processes: programs stay as they are and find themselves on the site's socket. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';

const preload = fileURLToPath(new URL('../../units/node-preload.cjs', import.meta.url));
/** Nobody listens on it, and nobody is to begin with it. */
const port = 34567;

t.jobs = 3;

interface Program {
  child: ChildProcess;
  socket: string;
  /** Everything it printed so far. */
  output: () => string;
  /** Waits until it printed this. */
  says: (words: string) => Promise<void>;
  /** Exit code, or the name of the signal. */
  ended: Promise<number | string | null>;
}

type Variables = Readonly<Partial<Record<'PORT' | 'APPFLEET_SOCKET', string>>>;

/** Without what the test runner puts into the environment of every Node process: it handles SIGTERM. */
const bare = (env: Readonly<Record<string, string>>, ...words: string[]): string[] => [
  '-i',
  ...Object.entries({ PATH: process.env.PATH ?? '', ...env }).map(([name, value]) => `${name}=${value}`),
  process.execPath,
  ...words,
];

const begin = (t: Test, code: string, options: { module?: boolean; env?: Variables } = {}): Program => {
  const folder = mkdtempSync(join(tmpdir(), 'af-p-'));
  chmodSync(folder, 0o755);
  const socket = join(folder, 'app.sock');
  const file = join(folder, options.module ? 'app.mjs' : 'app.cjs');
  writeFileSync(file, code);
  const env = { PORT: String(port), APPFLEET_SOCKET: socket, NODE_OPTIONS: `--require ${preload}`, ...options.env };
  const child = spawn('env', bare(env, file), { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string | null);
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  });
  const says = async (words: string): Promise<void> => {
    for (const end = Date.now() + 20_000; !printed.includes(words); await pause(5))
      if (Date.now() > end || child.exitCode !== null) throw new Error(`it did not say ${words}: ${printed}`);
  };
  return { child, socket, output: () => printed, says, ended };
};

const ask = async (socketPath: string, path = '/'): Promise<string> => {
  const sent = request({ socketPath, path, agent: false }).end();
  const [answer] = (await once(sent, 'response')) as [NodeJS.ReadableStream];
  return text(answer);
};
/** Whether anybody listens on a TCP port of this machine. */
const isOpen = (number: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = connect(number, '127.0.0.1', () => resolve(probe.destroy() !== null));
    probe.on('error', () => resolve(false));
  });

const server = "require('node:http').createServer((_, res) => res.end('hello'))";
const listening = "() => console.log('ready')";
const programs: Readonly<Record<string, string>> = {
  'listen(port, callback)': `${server}.listen(process.env.PORT, ${listening})`,
  'listen of a number': `${server}.listen(Number(process.env.PORT), ${listening})`,
  'listen(port, host, callback)': `${server}.listen(+process.env.PORT, '0.0.0.0', ${listening})`,
  'listen(port, host, backlog, callback)': `${server}.listen(+process.env.PORT, '::', 128, ${listening})`,
  'listen({ port, host })': `${server}.listen({ port: +process.env.PORT, host: '127.0.0.1' }, ${listening})`,
  'listen and the event': `${server}.on('listening', ${listening}).listen({ port: process.env.PORT })`,
  'what Express does': `const app = (_, res) => res.end('hello');
    app.listen = function (...args) { return require('node:http').createServer(this).listen(...args) };
    app.listen(process.env.PORT || 3000, '0.0.0.0', ${listening})`,
};

for (const [title, code] of Object.entries(programs))
  t.test(title, { buffered: true }, async (t) => {
    const program = begin(t, code);
    await program.says('ready');
    t.equal(await ask(program.socket), 'hello');
    t.notOk(await isOpen(port), 'nobody listens on the port');
    // nginx and the container are different users.
    t.equal(statSync(program.socket).mode & 0o777, 0o777, 'everybody may connect');
  });

t.test('an ES module', { buffered: true }, async (t) => {
  const code = `import { createServer } from 'node:http';
    createServer((_, res) => res.end('module')).listen(process.env.PORT, ${listening})`;
  const program = begin(t, code, { module: true });
  await program.says('ready');
  t.equal(await ask(program.socket), 'module');
});

t.test('a cluster of two workers', { buffered: true }, async (t) => {
  const code = `const cluster = require('node:cluster');
    if (cluster.isPrimary) { cluster.fork(); cluster.fork(); let n = 0; cluster.on('listening', () => ++n === 2 && console.log('ready')) }
    else require('node:http').createServer((_, res) => res.end(String(process.pid))).listen(process.env.PORT)`;
  const program = begin(t, code);
  await program.says('ready');
  const answers = new Set<string>();
  for (let i = 0; i < 8; i++) answers.add(await ask(program.socket));
  t.equal(answers.size, 2, 'both answer');
  t.equal(statSync(program.socket).mode & 0o777, 0o777, 'everybody may connect');
});

t.test('HTTP/2 without TLS', { buffered: true }, async (t) => {
  const code = `require('node:http2').createServer((_, res) => res.end('two')).listen(process.env.PORT, ${listening})`;
  const program = begin(t, code);
  await program.says('ready');
  const session = connectHttp2('http://localhost', { createConnection: () => connect(program.socket) });
  try {
    t.equal(await text(session.request({ ':path': '/' })), 'two');
  } finally {
    session.destroy();
  }
});

t.test('HTTPS', { buffered: true }, async (t) => {
  const program = begin(t, `require('node:https').createServer({}).listen(process.env.PORT, ${listening})`);
  await program.says('ready');
  const client = connect(program.socket);
  await once(client, 'connect');
  client.destroy();
  t.notOk(await isOpen(port));
});

t.test('other ports, other sockets and descriptors are left alone', { buffered: true }, async (t) => {
  const code = `const net = require('node:net'); const other = process.env.APPFLEET_SOCKET + '.other';
    const a = net.createServer().listen(0, '127.0.0.1', () => net.createServer().listen(other, () =>
      net.createServer().listen({ port: 0, host: '127.0.0.1' }, function () {
        console.log('ready', typeof a.address().port, typeof this.address().port) })))`;
  const program = begin(t, code);
  await program.says('ready number number');
  t.ok(existsSync(`${program.socket}.other`));
  t.notOk(existsSync(program.socket));
});

t.test('without a socket from us, or without PORT, nothing changes', { buffered: true }, async (t) => {
  for (const env of [{ APPFLEET_SOCKET: '' }, { PORT: '' }]) {
    const code = `require('node:net').createServer().listen(0, '127.0.0.1', function () {
      console.log('ready', this.address().port, process.listenerCount('SIGTERM')) })`;
    const program = begin(t, code, { env });
    await program.says('ready');
    t.match(program.output(), /^ready \d+ 0\n/);
    t.notOk(existsSync(program.socket));
  }
});

t.test('another user may connect', { buffered: true }, async (t) => {
  const program = begin(t, `process.umask(0o077); ${server}.listen(process.env.PORT, ${listening})`);
  await program.says('ready');
  const code = `require('node:net').connect(process.argv[1]).on('connect', () => process.exit(0)).on('error', () => process.exit(1))`;
  const other = spawn('env', bare({}, '-e', code, program.socket), {
    uid: 65534,
    gid: 65534,
    cwd: '/',
    stdio: 'ignore',
  });
  const [status] = (await once(other, 'close')) as [number];
  t.equal(status, 0);
});

const slow = `require('node:http').createServer((req, res) => { console.log('asked'); setTimeout(() => res.end('late'), 300) })
  .listen(process.env.PORT, ${listening})`;

t.test('SIGTERM lets a request in flight finish, takes no new one, and ends', { buffered: true }, async (t) => {
  const program = begin(t, slow);
  await program.says('ready');
  const answer = ask(program.socket);
  await program.says('asked');
  program.child.kill('SIGTERM');
  await pause(50);
  await t.rejects(ask(program.socket), 'nothing new');
  t.equal(await answer, 'late');
  t.equal(await program.ended, 143);
});

t.test(
  'SIGTERM ends an idle program at once, also one with a connection that is kept alive',
  { buffered: true },
  async (t) => {
    const program = begin(t, `${server}.listen(process.env.PORT, ${listening})`);
    await program.says('ready');
    const idle = connect(program.socket);
    idle.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(idle, 'data');
    const began = performance.now();
    program.child.kill('SIGTERM');
    t.equal(await program.ended, 143);
    t.ok(performance.now() - began < 2500, 'without waiting for its time to run out');
    idle.destroy();
  },
);

t.test('SIGTERM ends a program that listens nowhere', { buffered: true }, async (t) => {
  const program = begin(t, "console.log('ready'); setInterval(() => {}, 1000)");
  await program.says('ready');
  program.child.kill('SIGTERM');
  t.equal(await program.ended, 143);
});

t.test('a program with a SIGTERM handler of its own is left alone', { buffered: true }, async (t) => {
  const code = `process.on('SIGTERM', () => { console.log('mine'); setTimeout(() => process.exit(7), 100) });
    ${server}.listen(process.env.PORT, ${listening})`;
  const program = begin(t, code);
  await program.says('ready');
  program.child.kill('SIGTERM');
  await program.says('mine');
  t.equal(await ask(program.socket), 'hello', 'it serves until it has had enough');
  t.equal(await program.ended, 7);
});

t.test(
  'a socket that a killed program left behind is in the way, so units/launch removes it before each start',
  { buffered: true },
  async (t) => {
    const first = begin(t, `${server}.listen(process.env.PORT, ${listening})`);
    await first.says('ready');
    first.child.kill('SIGKILL');
    await first.ended;
    t.ok(existsSync(first.socket), 'it is still there');
    const second = begin(
      t,
      `${server}.on('error', ({ code }) => console.log(code)).listen(process.env.PORT, ${listening})`,
      {
        env: { APPFLEET_SOCKET: first.socket },
      },
    );
    await second.says('EADDRINUSE');
    rmSync(first.socket);
    const third = begin(t, `${server}.listen(process.env.PORT, ${listening})`, {
      env: { APPFLEET_SOCKET: first.socket },
    });
    await third.says('ready');
    t.equal(await ask(first.socket), 'hello');
    const launch = readFileSync(new URL('../../units/launch', import.meta.url), 'utf8');
    t.match(launch, /unlink \$app;[^}]{0,200}"\/containers\/\$name\/start"/, 'before the start');
  },
);

t.test('a port that is not free does not matter', { buffered: true }, async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const address = taken.address();
  const number = typeof address === 'object' ? String(address?.port) : '';
  const program = begin(t, `${server}.listen(process.env.PORT, '127.0.0.1', ${listening})`, { env: { PORT: number } });
  await program.says('ready');
  t.equal(await ask(program.socket), 'hello');
  taken.close();
});
