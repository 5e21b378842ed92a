/**
 * Environment from Consul: keeps the file that passes read in step with Consul's keys, and has a pass made when it changed.
 *
 * INVARIANTS
 * - The file is the truth for passes, at boot and while Consul is away; this only replaces it, as a whole.
 * - Of others' sites nothing is stored on this host.
 * - A folder that is suddenly empty is a Consul that lost its data, or a token that may not read: it changes nothing.
 * - One host at a time restarts sites: the pass runs under a lock in Consul. Nobody waits for it for ever.
 */
import { parseValues, sharedFolder, valuesText } from '../core/consul-env.ts';
import { consulValues } from '../core/names.ts';
import { inWords } from '../errors.ts';
import type { Files } from '../ports.ts';
import type { Consul } from './ports.ts';

export interface ValuesOptions {
  consul: Pick<Consul, 'watch' | 'lock'>;
  files: Pick<Files, 'read' | 'write'>;
  /** Folder of all variables, with the slash at its end. */
  folder: string;
  lockKey: string;
  /** A whole pass, to its end. */
  pass: () => Promise<unknown>;
  log: { info(line: string): void; warn(line: string): void };
}

export interface Values {
  /** Whose variables this host needs: its sites and shared containers. */
  wants(names: ReadonlySet<string>): void;
  stop(): void;
}

/** After that a restart on this host is better than old values. */
const longestWaitMs = 10 * 60_000;

const ownerOf = (key: string): string => key.slice(0, Math.max(0, key.indexOf('/')));

export const createValues = ({ consul, files, folder, lockKey, pass, log }: ValuesOptions): Values => {
  let names: ReadonlySet<string> = new Set();
  let seen: ReadonlyMap<string, Uint8Array> | null = null;
  let running = false;
  let again = false;
  let trouble: string | null = null;
  let stopped = false;

  const say = (message: string): void => {
    if (trouble !== message) log.warn(message);
    trouble = message;
  };

  const step = async (): Promise<void> => {
    if (seen === null) return;
    const mine = new Map([...seen].filter(([key]) => ownerOf(key) === sharedFolder || names.has(ownerOf(key))));
    const text = valuesText(folder, mine);
    const last = await files.read(consulValues);
    if (text === last) return;
    if (last === null && mine.size === 0) return;
    if (seen.size === 0 && parseValues(folder, last).size > 0)
      return say(
        `Consul has no variables below ${folder} any more: sites keep the last known; rm ${consulValues} ends that`,
      );
    const lock = await consul.lock(lockKey, longestWaitMs).catch((error: unknown) => {
      log.warn(`sites are restarted without a lock: ${inWords(error)}`);
      return null;
    });
    try {
      if (stopped) return;
      await files.write({ path: consulValues, text, mode: 0o600 });
      log.info(`variables in Consul changed: ${mine.size} concern this host`);
      await pass();
    } finally {
      await lock?.release();
    }
  };

  const run = (): void => {
    if (running) return void (again = true);
    running = true;
    again = false;
    void step()
      .catch((error: unknown) => say(`variables of Consul cannot be used: ${inWords(error)}`))
      .finally(() => {
        running = false;
        if (again) run();
      });
  };

  const end = consul.watch(
    folder,
    (values) => {
      trouble = null;
      seen = values;
      run();
    },
    (message) => say(`${message}; sites keep the variables that were last known`),
  );

  return {
    wants: (now) => {
      const same = now.size === names.size && [...now].every((name) => names.has(name));
      names = now;
      if (!same) run();
    },
    stop: () => {
      stopped = true;
      end();
    },
  };
};
