import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from './lock.ts';
import { cacheDir } from './places.ts';
import { processesNaming } from './process-id.ts';
import type { Log } from './tools.ts';

const UNFINISHED = '.unfinished';

/** Where the cache has, or would have, the thing of that kind made from that recipe. */
export function storedPath(kind: string, hash: string): string {
  return join(cacheDir, `${kind}-${hash}`);
}

/**
 * Gives the cached file or folder, made first when it is not there. It gets its name only when complete, so an
 * interrupted build leaves nothing that looks finished.
 */
export async function stored(
  kind: string,
  hash: string,
  log: Log,
  make: (path: string) => Promise<void>,
): Promise<string> {
  const path = storedPath(kind, hash);
  if (existsSync(path)) return path;
  mkdirSync(cacheDir, { recursive: true });
  const busy = () => log(`waiting for another process that makes ${kind}`);
  await withLock(join(cacheDir, `${kind}.lock`), busy, async () => {
    if (existsSync(path)) return;
    const unfinished = `${path}${UNFINISHED}`;
    rmSync(unfinished, { recursive: true, force: true });
    try {
      await make(unfinished);
      renameSync(unfinished, path);
    } catch (error) {
      rmSync(unfinished, { recursive: true, force: true });
      throw error;
    }
  });
  return path;
}

/** Removes older builds of that kind, except those to keep and those that a running process was told to use. */
export function prune(kind: string, keep: ReadonlySet<string>): void {
  for (const name of readdirSync(cacheDir)) {
    const ofKind = name.startsWith(`${kind}-`) && /^[0-9a-f]{12}$/.test(name.slice(kind.length + 1));
    const path = join(cacheDir, name);
    if (!ofKind || keep.has(path) || processesNaming(path).length > 0) continue;
    rmSync(path, { recursive: true, force: true });
  }
}

/** Removes what builds that were broken off left behind; what somebody is building now is locked and stays. */
export function sweepUnfinished(): void {
  if (!existsSync(cacheDir)) return;
  for (const name of readdirSync(cacheDir).filter((each) => each.endsWith(UNFINISHED))) {
    const kind = name.slice(0, -UNFINISHED.length).replace(/-[0-9a-f]{12}$/, '');
    // A builder that was just ended needs a moment to let go of the lock. A second Ctrl-C does not reach this session.
    const locked = ['--wait', 'flock', '--wait', '1', join(cacheDir, `${kind}.lock`)];
    spawnSync('setsid', [...locked, 'rm', '-rf', '--one-file-system', join(cacheDir, name)]);
  }
}
