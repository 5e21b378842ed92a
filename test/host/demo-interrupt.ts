/** What happens to a demo that is broken off: nothing of it stays behind. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { childrenOf, commandName, identify, ourselves, signal } from './process-id.ts';
import { isRunning, readState } from './state.ts';
import { sweepUnfinished } from './store.ts';
import { tearDown } from './teardown.ts';

/** Everything temporary, our programs' included, goes to a folder of our own, and that goes with us. */
const useOwnTemporaryFolder = (): (() => void) => {
  const prefix = 'appfleet-demo-';
  for (const left of readdirSync(tmpdir()).filter((each) => each.startsWith(prefix)))
    if (!identify(Number(left.slice(prefix.length).split('-')[0])))
      rmSync(join(tmpdir(), left), { recursive: true, force: true });
  const folder = mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`));
  process.env.TMPDIR = folder;
  process.env.ANSIBLE_LOCAL_TEMP = join(folder, 'ansible');
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  return remove;
};

/** Ends the programs that we started, except the host, which goes in a way of its own. */
const endChildren = (except: number | undefined): void => {
  const descendants = (pid: number): number[] => childrenOf(pid).flatMap((child) => [child, ...descendants(child)]);
  const children = childrenOf(process.pid).filter((pid) => pid !== except);
  const all = children.flatMap((pid) => [pid, ...descendants(pid)]).map(identify);
  for (const id of all) signal(id, 'SIGKILL');
};

/** apt-get stops when it can: at once while it fetches, after dpkg while that runs. */
const stopApt = (): void => {
  for (const pid of childrenOf(process.pid)) if (commandName(pid) === 'apt-get') signal(identify(pid), 'SIGINT');
};

export interface Interruption {
  /** Lets the installation of packages end in order before an interruption is obeyed. */
  whileInstalling<T>(work: () => Promise<T>): Promise<T>;
}

/** From now on Ctrl-C and its like take the host down, if it is this process that booted it, and end as they should. */
export const onInterrupt = (name: string, say: (text: string) => void): Interruption => {
  const removeTemporary = useOwnTemporaryFolder();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  let installing = false;
  let waiting: NodeJS.Signals | undefined;

  const end = (which: NodeJS.Signals): never => {
    const state = readState(name);
    const ours = state?.booter.pid === ourselves.pid && state.booter.started === ourselves.started;
    if (ours) say(`Interrupted: removing host ${name}.`);
    else if (isRunning(state)) say(`Interrupted. Host ${name} was there before and goes on running.`);
    else say('Interrupted.');
    endChildren(state?.supervisor?.pid);
    if (ours) tearDown(name);
    sweepUnfinished();
    removeTemporary();
    if (ours) say('It is gone; what was built for it stays in the cache for the next time.');
    for (const each of signals) process.off(each, listener);
    process.kill(process.pid, which); // now without our handler
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
    return process.exit(1);
  };
  const listener = (which: NodeJS.Signals): void => {
    if (!installing) end(which);
    if (waiting !== undefined) return;
    waiting = which;
    say('Interrupted: waiting for apt-get, which must not be cut off.');
    stopApt();
    setInterval(stopApt, 200); // the next one too, should there be one
  };
  // `on`, not `once`: a second Ctrl-C must not cut the cleaning short.
  for (const which of signals) process.on(which, listener);

  return {
    whileInstalling: async (work) => {
      installing = true;
      try {
        return await work();
      } finally {
        installing = false;
        if (waiting !== undefined) end(waiting);
      }
    },
  };
};
