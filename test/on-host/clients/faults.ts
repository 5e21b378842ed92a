/** What the tests of faults share: a host that is clean after each of them, site files, what is left of a site. */
import { createHash } from 'node:crypto';
import type { Test } from 'tap';
import { folder, openHost } from './on-host.ts';

export const sites = '/etc/appfleet/sites';
export const fixed = (root: string, more = ''): string => `[site]\nruntime = static\nroot = ${root}\n${more}`;
export const program = (more = '', env = '', idle = '2s'): string => `[site]
runtime = node
image = demo/node-app
command = node ${folder}/app.cjs
volumes = ${folder}:${folder}:ro
stop_timeout = 1s
idle = ${idle}
${more}
[env]
${env}
`;
export const sha = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The host, without sites before and after each test; the agent runs again in the end. */
export const openFaults = async (name: string, t: Pick<Test, 'before' | 'afterEach' | 'teardown'>) => {
  const on = await openHost(name);
  const { sh } = on;
  const agent = (verb: 'start' | 'stop'): Promise<unknown> => sh(`systemctl ${verb} appfleet.service`);
  t.before(() => on.clear('.test'));
  t.afterEach(() => on.clear('.test'));
  t.teardown(async () => {
    await agent('start');
    await on.clear('.test');
  });
  return {
    on,
    agent,
    applied: async (): Promise<void> => {
      const { code, stdout, stderr } = await on.apply();
      if (code !== 0) throw new Error(`appfleet apply: ${code}\n${stdout}${stderr}`);
    },
    nothingLeft: async (): Promise<boolean> =>
      (await on.host.run(['appfleet', 'plan'], { allowFail: true })).stdout.startsWith('Nothing to do'),
    /** Everything on the host that has to do with names that match, and every temporary file of ours. */
    traces: async (pattern: string): Promise<string[]> => {
      const found = await sh(`
    find /etc/systemd/system /etc/nginx /var/lib/appfleet /run/appfleet -name '${pattern}*' -o -name '.appfleet-*.tmp' -o -name 'appfleet-test.conf'
    systemctl list-units --all --plain --no-legend '${pattern}*' 'appfleet-wake@${pattern}*' | cut -d' ' -f1
    docker ps --all --format '{{.Names}}' --filter 'name=${pattern.replaceAll('*', '')}'`);
      return found.split('\n').filter(Boolean);
    },
  };
};
