/** Why no disposable host can be booted on this machine. Imports nothing that needs Linux. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeCgroups, removeCgroups } from './cgroups.ts';
import { cacheDir, hostsDir } from './places.ts';
import { missingPackages } from './tools.ts';

/** Numbers of capabilities(7) that mounts, namespaces, devices and networks of a host take. */
const capabilities = {
  CAP_CHOWN: 0,
  CAP_DAC_OVERRIDE: 1,
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  CAP_NET_ADMIN: 12,
  CAP_SYS_CHROOT: 18,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_MKNOD: 27,
} as const;

const missingCapabilities = (): string[] => {
  const mask = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`);
  return Object.entries(capabilities)
    .filter(([, bit]) => ((mask >> BigInt(bit)) & 1n) === 0n)
    .map(([name]) => name);
};

/** The nearest folder above a path that is there. */
const existing = (path: string): string => {
  try {
    statfsSync(path);
    return path;
  } catch {
    return existing(dirname(path));
  }
};

/** What booting does first, on a folder of our own that goes with the trial: namespaces, and an overlay where hosts lie. */
const trial = `
set -e
mount -t tmpfs tmpfs "$1/tmp" || { echo "it may not mount a tmpfs" >&2; exit 1; }
mount -t overlay overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" "$1/root"
`;

const tryMounts = (): string[] => {
  mkdirSync(hostsDir, { recursive: true });
  const folder = mkdtempSync(join(hostsDir, '.trial-'));
  try {
    for (const part of ['tmp', 'lower', 'upper', 'work', 'root']) mkdirSync(join(folder, part));
    const namespaces = ['--mount', '--propagation', 'private', '--pid', '--fork', '--mount-proc', '--net'];
    const tried = spawnSync('unshare', [...namespaces, 'sh', '-c', trial, 'trial', folder], { encoding: 'utf8' });
    if (tried.status === 0) return [];
    const lines = (tried.stderr ?? '').trim().split('\n');
    const said = tried.error?.message ?? lines.find((line) => line.startsWith('mount:')) ?? lines.at(-1) ?? '';
    return said.includes('overlay')
      ? [`no overlay can be mounted in ${hostsDir} (${said}): set APPFLEET_TEST_STATE to a folder on ext4 or xfs`]
      : [`the kernel refuses namespaces or mounts, as in a container without privileges (${said})`];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

const tryCgroups = (): string[] => {
  const name = `trial-${process.pid}`;
  try {
    return makeCgroups(name).length > 0 ? [] : ['no cgroups are mounted in /sys/fs/cgroup'];
  } catch (error) {
    return [`no cgroup can be made here, as in a container without privileges (${(error as Error).message})`];
  } finally {
    removeCgroups(name);
  }
};

/** Gigabytes that a first run needs for its caches and its host, and that a later one needs. */
const space = { first: 4, later: 1 };

const tryRoom = (): string[] => {
  const needed = existing(cacheDir) === cacheDir ? space.later : space.first;
  return [...new Set([existing(cacheDir), existing(hostsDir)])].flatMap((folder) => {
    const { bavail, bsize } = statfsSync(folder);
    const free = (bavail * bsize) / 1e9;
    return free >= needed ? [] : [`${folder} has ${free.toFixed(1)} GB left, and it takes ${needed} GB`];
  });
};

/** One line for each thing that stands in the way; none when a host can be booted. */
export const obstacles = (): string[] => {
  if (process.platform !== 'linux')
    return [`a host is booted with namespaces of Linux, and this is ${process.platform}`];
  if (process.getuid?.() !== 0)
    return [`it takes root, and this is user ${process.getuid?.() ?? '?'}; try: sudo npm run demo`];
  const lacking = missingCapabilities();
  if (lacking.length > 0)
    return [`this root lacks ${lacking.join(', ')}: in a container, start it with --privileged or --cap-add`];
  const missing = missingPackages();
  const apt = spawnSync('apt-get', ['--version'], { stdio: 'ignore' });
  return [
    ...tryMounts(),
    ...tryCgroups(),
    ...tryRoom(),
    ...(missing.length > 0 && apt.status !== 0
      ? [`there is no apt-get to install ${missing.join(', ')} with; install what brings those programs`]
      : []),
  ];
};
