import { readState } from './state.ts';
import { tearDown } from './teardown.ts';

const ours = new Set<string>();

/**
 * Takes the host down when this process ends. The kernel ends the host's processes even when we are killed; this also
 * clears away its files when we leave in any other way.
 */
export function endWithUs(name: string): void {
  if (ours.size === 0) listen();
  ours.add(name);
}

function listen(): void {
  process.once('exit', takeDown);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      takeDown();
      // Now without our handler: end as everybody expects.
      process.kill(process.pid, signal);
    });
  }
}

function takeDown(): void {
  for (const name of ours) {
    // By now it may be somebody else's of the same name.
    if (readState(name)?.booter.pid === process.pid) tearDown(name);
  }
  ours.clear();
}
