/** A socket that systemd opened and passed to this process (sd_listen_fds(3)). */
export interface PassedSocket {
  /** FileDescriptorName= of its unit; `unknown` when there is none. */
  name: string;
  /** For `server.listen({ fd })`. */
  fd: number;
}

const firstPassed = 3;
const variables = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES'] as const;

/** Takes over the sockets passed to process `pid` and removes their variables from `env`: children must not believe they were meant. */
export const takeSockets = (env: NodeJS.ProcessEnv, pid: number): PassedSocket[] => {
  const [owner, count, names] = variables.map((name) => env[name] ?? '');
  for (const name of variables) delete env[name];
  if (owner !== String(pid) || !/^[0-9]{1,4}$/.test(count ?? '')) return [];
  const given = (names ?? '').split(':');
  return Array.from({ length: Number(count) }, (_, i) => ({ name: given[i] || 'unknown', fd: firstPassed + i }));
};
