import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runCommand } from './command.ts';
import { contained } from './contained.ts';
import { fingerprint } from './places.ts';
import type { Release } from './release.ts';
import { stored } from './store.ts';
import type { Log } from './tools.ts';

/** Raise it when something below changes that the recipe does not show. */
const RECIPE_VERSION = 1;

export const MIRROR = process.env.APPFLEET_MIRROR ?? 'http://deb.debian.org/debian';

const PACKAGES = [
  ...['systemd', 'systemd-sysv', 'dbus', 'init-system-helpers', 'procps', 'iproute2', 'iptables'],
  ...['docker.io', 'nginx', 'curl', 'ca-certificates', 'jq'],
  'pebble', // a certificate authority for tests, with pebble-challtestsrv, its DNS
  ...['python3', 'python3-apt'], // Ansible's modules run with them
];
/** Debian 13 has the `docker` command in a package of its own. */
const MORE_PACKAGES: Readonly<Record<Release, readonly string[]>> = { trixie: ['docker-cli'], bookworm: [] };

/** Units that need a kernel of their own, or the internet, which the host has not. */
const MASKED = [
  ...['systemd-modules-load.service', 'console-getty.service'],
  ...['apt-daily.timer', 'apt-daily-upgrade.timer', 'e2scrub_all.timer', 'e2scrub_reap.service', 'fstrim.timer'],
];

/**
 * nspawn mounts cgroup v1 controllers read-only, so neither systemd nor Docker could make groups there. A unit, and not
 * something done from outside, because it must also hold after a reboot and before dockerd starts.
 */
const CGROUPS_UNIT = `[Unit]
Description=Make the cgroup v1 controllers writable
DefaultDependencies=no
Before=sysinit.target
ConditionPathExists=!/sys/fs/cgroup/cgroup.controllers
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'for c in /sys/fs/cgroup/*/; do mount -o remount,rw,bind "$c" || true; done'
[Install]
WantedBy=sysinit.target
`;
const FILES: Readonly<Record<string, string>> = { '/etc/systemd/system/cgroups-writable.service': CGROUPS_UNIT };
const LINKS: Readonly<Record<string, string>> = {
  '/etc/systemd/system/sysinit.target.wants/cgroups-writable.service': '../cgroups-writable.service',
  ...Object.fromEntries(MASKED.map((unit) => [`/etc/systemd/system/${unit}`, '/dev/null'])),
};

/** Options that keep a Debian tree small: no recommended packages, no manuals, no translations. */
export const SMALL_DEBIAN = [
  '--variant=minbase',
  '--aptopt=APT::Install-Recommends "false"',
  '--aptopt=Acquire::Languages "none"',
  ...['man', 'doc', 'locale', 'info', 'lintian'].map((dir) => `--dpkgopt=path-exclude=/usr/share/${dir}/*`),
  // Package lists stay: Ansible's apt module finds them fresh and has nothing to fetch.
  '--skip=cleanup/apt/lists',
];

/** The root file system of a release: read-only by agreement, every boot writes to an overlay on it. */
export async function rootfs(release: Release, log: Log): Promise<string> {
  const argv = ['mmdebstrap', ...SMALL_DEBIAN, `--include=${[...PACKAGES, ...MORE_PACKAGES[release]].join(',')}`];
  const hash = fingerprint([RECIPE_VERSION, release, argv, FILES, LINKS]);
  return stored(rootfsKind(release), hash, log, async (path) => {
    log(`building a Debian ${release} root file system (about half a minute, kept for the next time)`);
    const build = contained([...argv, release, path, MIRROR], { withUs: true });
    await runCommand(build, { timeoutMs: 900_000 }, `mmdebstrap ${release}`);
    for (const [file, text] of Object.entries(FILES)) writeFileSync(within(path, file), text);
    for (const [link, target] of Object.entries(LINKS)) symlinkSync(target, within(path, link));
  });
}

export function rootfsKind(release: Release): string {
  return `rootfs-${release}`;
}

function within(root: string, file: string): string {
  const path = join(root, file);
  mkdirSync(dirname(path), { recursive: true });
  return path;
}
