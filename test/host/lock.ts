import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Lets one process at a time do `work`. Node has no flock(2), so flock(1) holds the lock for as long as its standard
 * input is open: until we close it, or end in whatever way.
 */
export async function withLock<T>(path: string, onWait: () => void, work: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  const holder = spawn('flock', [path, 'sh', '-c', 'echo locked; exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const waiting = setTimeout(onWait, 500);
  try {
    const [first] = (await once(holder.stdout, 'data')) as [Buffer];
    if (!first.toString().startsWith('locked')) throw new Error(`cannot lock ${path}`);
    clearTimeout(waiting);
    return await work();
  } finally {
    clearTimeout(waiting);
    holder.stdin.end();
  }
}
