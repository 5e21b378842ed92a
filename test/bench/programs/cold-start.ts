/** First byte of a sleeping site, and of the same container started by hand: in turns, so that both meet the same machine. */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { accepts, askSite, docker, pause } from './http.ts';
import { quietMoment } from './quiet.ts';
import { program } from './report.ts';

export interface ColdStartInput {
  rounds: number;
  path: string;
  site: string;
  /** A container of the same settings, and a vhost that leads straight to its socket. */
  floor: { container: string; socket: string; vhost: string };
}

export interface ColdStartTimes {
  /** Milliseconds to the first byte. */
  site: number[];
  floor: number[];
}

/** What stopping leaves behind has ended by then. */
const settle = 200;

program(async ({ rounds, path, site, floor }: ColdStartInput, tell): Promise<ColdStartTimes> => {
  const first = async (domain: string, before: () => Promise<void>): Promise<number> => {
    const began = performance.now();
    await before();
    const { status, at, body } = await askSite(domain, path);
    if (status !== 200) throw new Error(`${domain} answered ${status}: ${body}`);
    return at - began;
  };

  const putToSleep = (): void => void execFileSync('systemctl', ['stop', `${site}-app.service`]);

  const wakeSite = async (): Promise<number> => {
    const milliseconds = await first(site, () => Promise.resolve());
    putToSleep();
    return milliseconds;
  };

  const startFloor = async (): Promise<number> => {
    rmSync(floor.socket, { force: true });
    const milliseconds = await first(floor.vhost, async () => {
      await docker('POST', `/containers/${floor.container}/start`);
      while (!(await accepts(floor.socket))) await pause(1);
    });
    await docker('POST', `/containers/${floor.container}/stop`);
    return milliseconds;
  };

  putToSleep();
  const times: ColdStartTimes = { site: [], floor: [] };
  // The first of each is not counted: it fills the caches.
  for (let round = -1; round < rounds; round++) {
    const one = async (which: 'site' | 'floor'): Promise<void> => {
      await pause(settle);
      await quietMoment();
      const milliseconds = which === 'site' ? await wakeSite() : await startFloor();
      if (round >= 0) times[which].push(milliseconds);
    };
    // ABBA: what one leaves behind is not always the other's burden.
    const turns = round % 2 === 0 ? (['site', 'floor'] as const) : (['floor', 'site'] as const);
    for (const which of turns) await one(which);
    if (round % 10 === 9) tell(`${round + 1} of ${rounds} pairs`);
  }
  return times;
});
