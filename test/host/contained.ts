/**
 * A command line whose processes and mounts end together, by the kernel's hand: it is the first process of a PID
 * namespace, in a mount namespace of its own. `withUs` also ends it when this process ends, in whatever way.
 */
export function contained(argv: readonly string[], { withUs }: { withUs: boolean }): string[] {
  return [
    ...(withUs ? ['setpriv', '--pdeathsig', 'KILL'] : []),
    ...['unshare', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child=KILL', '--mount-proc'],
    ...argv,
  ];
}
