/** Looks at the machine from outside, as a visitor or an admin would, for `appfleet doctor`. */
import { Resolver } from 'node:dns/promises';
import { lstatSync, rmSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { request as secureRequest } from 'node:https';
import { connect, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { messageOf } from '../errors.ts';
import { listenersOn } from './probe-listeners.ts';

export interface WebAnswer {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The first few thousand characters. */
  body: string;
}

export interface Probe {
  /** Much of what is looked at is for root's eyes only. */
  isRoot(): boolean;
  /** Runs a program to its end. Rejects when it cannot be started. */
  run(argv: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  /** Null when the unix socket accepts connections, else why not. */
  accepts(path: string): Promise<string | null>;
  /** What nginx answers to `HEAD /` under a name. Rejects when there is no answer within the limit. */
  head(port: number, name: string, limitSeconds: number): Promise<WebAnswer>;
  /** The same over HTTPS, whatever the certificate is worth: that is looked at elsewhere. */
  secureHead(port: number, name: string, limitSeconds: number): Promise<WebAnswer>;
  /** What nginx answers by itself to a request too large for any site: it wakes nobody. Rejects as `head` does. */
  knock(port: number, name: string): Promise<WebAnswer>;
  /** The programs that listen on a TCP port, whatever the address, each with one of its processes; null: it cannot be seen. */
  listeners(port: number): Promise<readonly { program: string; pid: number | null }[]>;
  /** Addresses of a name in DNS, none when it has none. Rejects when DNS gives no answer. */
  resolve(name: string): Promise<readonly string[]>;
  /** Addresses of this host's interfaces, those of loopback excepted. */
  ownAddresses(): readonly string[];
  /** Whether a connection moves the access time of a unix socket in this folder: sites fall asleep by it. */
  accessTimeMoves(folder: string): Promise<boolean>;
}

const longestBody = 4096;
const knockSeconds = 5;
const resolveMs = 2000;
/** Above every max_body_size that a file can ask for; nginx refuses it before it asks a container. */
const tooLarge = '9000000000000000000';

const readBody = async (answer: IncomingMessage): Promise<string> => {
  let body = '';
  for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) {
    body += chunk;
    if (body.length >= longestBody) break;
  }
  return body.slice(0, longestBody);
};

const ask = (
  port: number,
  name: string,
  method: 'HEAD' | 'POST',
  headers: Readonly<Record<string, string>>,
  limitSeconds: number,
  secure = false,
): Promise<WebAnswer> =>
  new Promise((resolve, reject) => {
    const call = (secure ? secureRequest : request)({
      ...(secure ? { servername: name, rejectUnauthorized: false } : {}),
      host: '127.0.0.1',
      port,
      method,
      path: '/',
      agent: false,
      headers: { host: name, 'user-agent': 'appfleet-doctor', connection: 'close', ...headers },
    });
    const limit = setTimeout(() => call.destroy(new Error(`no answer within ${limitSeconds} s`)), limitSeconds * 1000);
    const settle = (): void => {
      clearTimeout(limit);
      call.destroy();
    };
    call.once('error', (error) => {
      settle();
      reject(error);
    });
    call.once('response', (answer) => {
      readBody(answer)
        .then((body) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }))
        .catch(reject)
        .finally(settle);
    });
    if (method === 'HEAD') call.end();
    else call.flushHeaders();
  });

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

const connectOnce = (path: string): Promise<string | null> =>
  new Promise((resolve) => {
    const socket = connect({ path });
    socket.setTimeout(5000, () => socket.destroy(new Error('no answer within 5 s')));
    socket.once('connect', () => {
      socket.destroy();
      resolve(null);
    });
    socket.once('error', (error) => resolve(messageOf(error)));
  });

const absent = ['ENOTFOUND', 'ENODATA'];

const lookUp = async (name: string): Promise<string[]> => {
  const resolver = new Resolver({ timeout: resolveMs, tries: 1 });
  const none = (error: unknown): string[] => {
    if (error instanceof Error && 'code' in error && absent.includes(String(error.code))) return [];
    throw error;
  };
  const answers = [resolver.resolve4(name).catch(none), resolver.resolve6(name).catch(none)];
  return (await Promise.all(answers)).flat();
};

export const createProbe = (run: Probe['run']): Probe => ({
  isRoot: () => process.getuid?.() === 0,
  run,
  accepts: connectOnce,
  head: (port, name, limitSeconds) => ask(port, name, 'HEAD', {}, limitSeconds),
  secureHead: (port, name, limitSeconds) => ask(port, name, 'HEAD', {}, limitSeconds, true),
  knock: (port, name) => ask(port, name, 'POST', { 'content-length': tooLarge }, knockSeconds),
  listeners: (port) => Promise.resolve(listenersOn(port)),
  resolve: lookUp,
  ownAddresses: () =>
    Object.values(networkInterfaces()).flatMap((all) =>
      (all ?? []).filter(({ internal }) => !internal).map(({ address }) => address),
    ),
  accessTimeMoves: async (folder) => {
    const path = `${folder}/.doctor-${process.pid}.sock`;
    // Listening in a folder that is not there would be called a lack of permission.
    lstatSync(folder);
    rmSync(path, { force: true });
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(path, resolve);
    });
    try {
      const before = lstatSync(path).atimeMs;
      // Longer than the tick of the clock that the kernel stamps files with.
      await pause(25);
      const refused = await connectOnce(path);
      if (refused !== null) throw new Error(refused);
      return lstatSync(path).atimeMs > before;
    } finally {
      server.close();
      rmSync(path, { force: true });
    }
  },
});
