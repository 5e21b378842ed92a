/** The agent alone: its size, how soon it is ready, how long the shortest command takes. */
import { median } from './figure.ts';
import type { Part } from './lab.ts';

const rounds = 7;

export const agent: Part = async ({ host, log }) => {
  log('the agent: start, shortest command, size');
  const times = async (command: string): Promise<number[]> => {
    const script = `for i in $(seq ${rounds}); do
      before=$(date +%s%N); ${command} >/dev/null; after=$(date +%s%N)
      echo $(( (after - before) / 1000 ))
    done`;
    const { stdout } = await host.sh(script);
    return stdout
      .trim()
      .split('\n')
      .map((microseconds) => Number(microseconds) / 1000);
  };
  const start = await times('systemctl restart appfleet.service');
  const version = await times('appfleet version');
  const { stdout } = await host.sh('find /usr/lib/appfleet -type f ! -name node -printf "%s\\n"');
  const bytes = stdout
    .trim()
    .split('\n')
    .reduce((sum, size) => sum + Number(size), 0);
  const from = `median of ${rounds}`;
  return [
    { name: 'agent: restart to ready', value: median(start), unit: 'ms', target: null, from },
    { name: 'agent: appfleet version', value: median(version), unit: 'ms', target: null, from },
    { name: 'agent: installed size, Node excepted', value: bytes / 1e6, unit: 'MB', target: null },
  ];
};
