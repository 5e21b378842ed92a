/** What the demo shows where no host can be booted: what is missing, and the plan that the agent makes for the three sites. */
import { planCommand } from '../../agent/commands/plan.ts';
import { createFakeContext } from '../fakes/context.ts';
import { createFakeHost } from '../fakes/host.ts';
import type { Screen } from './demo-screen.ts';
import { demoFiles, demoSecrets } from './demo-sites.ts';

/** `appfleet plan` as it runs on an empty Debian 13 that has the files of the demo; the host is in memory, the rest is real. */
export const showPlan = async (screen: Screen): Promise<void> => {
  const host = createFakeHost();
  for (const { path, text } of [...demoSecrets('made at random'), ...demoFiles()]) host.disk.set(path, text);
  const print = (text: string): void => screen.line(`  ${text}`);
  const code = await planCommand(createFakeContext(host, { print, complain: print }), { json: false });
  if (code !== 0) throw new Error(`appfleet plan ended with ${code}`);
};

/** Says why there is no host, what to do instead, and what would happen on one. */
export const explainObstacles = async (screen: Screen, obstacles: readonly string[]): Promise<void> => {
  const { colours, line, say } = screen;
  line(colours.bold('No disposable host can be booted here:'));
  for (const obstacle of obstacles) say(`  ${colours.red('✗')} ${obstacle}`, '    ');
  line();
  say(
    'What to do instead: run it as root on Debian or Ubuntu, be that a machine, a virtual one, or a container with all ' +
      'privileges. Other systems will have `vagrant up`; it is planned and not there yet.',
  );
  line();
  say('Meanwhile, what the agent would do with the files in test/host/demo-sites on an empty Debian 13:');
  line();
  line(`  ${colours.bold('$ appfleet plan')}`);
  await showPlan(screen);
};
