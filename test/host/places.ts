import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** What takes long to make and may be kept: root file systems and image layers, each named by the hash of its recipe. */
export const cacheDir = process.env.APPFLEET_CACHE ?? join(homedir(), '.cache', 'appfleet');

/** One folder for each running host. Not below /tmp: Docker's data must be on a real file system. */
export const hostsDir = process.env.APPFLEET_TEST_STATE ?? '/var/lib/appfleet-test';

/** Names a thing by what it is made from, so that a changed recipe never meets an old build of it. */
export function fingerprint(recipe: unknown): string {
  return createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 12);
}
