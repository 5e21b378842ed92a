/**
 * Full TLS handshakes with several nginx in turns, each time with another of their names. Counted is the processor time that
 * nginx takes for them: the client takes more of it than the server, and would hide what is measured.
 */
import { readFileSync } from 'node:fs';
import { connect, createSecureContext } from 'node:tls';
import { quietMoment } from './quiet.ts';
import { program } from './report.ts';

export interface HandshakesInput {
  servers: Readonly<Record<string, { port: number; pidFile: string }>>;
  names: readonly string[];
  rounds: number;
  /** Handshakes of each server in each round. */
  count: number;
  /** At the same time. */
  width: number;
}

/** Handshakes per second of nginx's processor time, and by the clock, of each round. */
export type HandshakesResult = Record<string, { processor: number[]; clock: number[] }>;

const secureContext = createSecureContext();

const handshake = (port: number, servername: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, servername, secureContext, rejectUnauthorized: false };
    const socket = connect(options, () => {
      if (socket.isSessionReused()) reject(new Error('the session was an old one'));
      socket.end();
    });
    socket.once('error', reject);
    // nginx has ended its part as well.
    socket.once('close', resolve).resume();
  });

const workersOf = (pidFile: string): string[] => {
  const master = readFileSync(pidFile, 'utf8').trim();
  return readFileSync(`/proc/${master}/task/${master}/children`, 'utf8').trim().split(' ');
};

/** Seconds that they have been on a processor. */
const processorTime = (pids: readonly string[]): number =>
  pids.reduce((sum, pid) => sum + Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e9, 0);

program(async ({ servers, names, rounds, count, width }: HandshakesInput, tell): Promise<HandshakesResult> => {
  let next = 0;
  const turn = async (key: string): Promise<{ processor: number; clock: number }> => {
    const { port, pidFile } = servers[key] ?? { port: 0, pidFile: '' };
    const workers = workersOf(pidFile);
    const before = processorTime(workers);
    const began = performance.now();
    let left = count;
    const lane = async (): Promise<void> => {
      while (left-- > 0) await handshake(port, names[next++ % names.length] ?? '');
    };
    await Promise.all(Array.from({ length: width }, lane));
    const clock = count / ((performance.now() - began) / 1000);
    return { processor: count / (processorTime(workers) - before), clock };
  };

  const keys = Object.keys(servers);
  const result: HandshakesResult = Object.fromEntries(keys.map((key) => [key, { processor: [], clock: [] }]));
  for (const key of keys) await turn(key); // fills caches
  for (let round = 0; round < rounds; round++) {
    if (round % 10 === 0) await quietMoment();
    for (const key of round % 2 === 0 ? keys : [...keys].reverse()) {
      const { processor, clock } = await turn(key);
      result[key]?.processor.push(processor);
      result[key]?.clock.push(clock);
    }
    if (round % 20 === 19) tell(`${round + 1} of ${rounds} rounds`);
  }
  return result;
});
