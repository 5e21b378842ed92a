/** What happens to a demo that is broken off: nothing of it stays behind. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { childrenOf, identify, ourselves, signal } from './process-id.ts';
import { readState } from './state.ts';
import { sweepUnfinished } from './store.ts';
import { tearDown } from './teardown.ts';

/** Everything temporary, our programs' included, goes to a folder of our own, and that goes with us. */
const useOwnTemporaryFolder = (): (() => void) => {
  const folder = mkdtempSync(join(tmpdir(), 'appfleet-demo-'));
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

export interface Interruption {
  /** An interruption waits until `work` has ended, because breaking that off would harm the machine. */
  shield<T>(work: () => Promise<T>): Promise<T>;
}

/** From now on Ctrl-C and its like take the host down, if it is this process that booted it, and end as they should. */
export const onInterrupt = (name: string, say: (text: string) => void): Interruption => {
  const removeTemporary = useOwnTemporaryFolder();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  let shielded = false;
  let waiting: NodeJS.Signals | undefined;

  const end = (which: NodeJS.Signals): never => {
    const state = readState(name);
    const ours = state?.booter.pid === ourselves.pid && state.booter.started === ourselves.started;
    if (state === undefined) say('Interrupted.');
    else if (ours) say(`Interrupted: removing host ${name}.`);
    else say(`Interrupted. Host ${name} was there before and goes on running.`);
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
    if (!shielded || waiting !== undefined) end(which);
    waiting = which;
    say('Interrupted: packages are being installed, which has to end first. Again, to leave at once.');
  };
  // `on`, not `once`: a second Ctrl-C must not cut the cleaning short.
  for (const which of signals) process.on(which, listener);

  return {
    shield: async (work) => {
      shielded = true;
      try {
        return await work();
      } finally {
        shielded = false;
        if (waiting !== undefined) end(waiting);
      }
    },
  };
};
