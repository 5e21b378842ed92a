import { accessSync, constants, existsSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './command.ts';

export type Log = (line: string) => void;

/** Program that must be there -> Debian's (and Ubuntu's) package that brings it. */
const TOOLS: Readonly<Record<string, string>> = {
  mmdebstrap: 'mmdebstrap',
  'systemd-nspawn': 'systemd-container',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  unshare: 'util-linux',
  mount: 'mount',
  ip: 'iproute2',
  tar: 'tar',
  'ansible-playbook': 'ansible-core',
};

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Packages that this machine lacks to make and boot a host. */
export function missingPackages(): string[] {
  const missing = new Set(
    Object.entries(TOOLS)
      .filter(([program]) => !isInstalled(program))
      .map(([, pkg]) => pkg),
  );
  if (!existsSync(KEYRING)) missing.add('debian-archive-keyring');
  return [...missing];
}

/** Installs what this machine lacks to make and boot a host: a bare CI machine has none of it. */
export async function ensureTools(log: Log): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('a test host needs root: run this with sudo');
  const missing = missingPackages();
  if (missing.length === 0) return;

  log(`installing ${missing.join(', ')} on this machine`);
  const env = { ...(process.env as Record<string, string>), DEBIAN_FRONTEND: 'noninteractive' };
  const install = ['apt-get', 'install', '--yes', '--quiet', '--no-install-recommends', ...missing];
  const first = await runCommand(install, { env, timeoutMs: 600_000, allowFail: true });
  if (first.code === 0) return;
  // The package lists may be missing or too old: fetch them, try once more.
  await runCommand(['apt-get', 'update', '--quiet'], { env, timeoutMs: 600_000 });
  await runCommand(install, { env, timeoutMs: 600_000 });
}

function isInstalled(program: string): boolean {
  const path = `${process.env.PATH ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin`;
  return path.split(':').some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return folder !== '';
    } catch {
      return false;
    }
  });
}
