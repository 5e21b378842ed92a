import t from 'tap';
import { sleepCommand, wakeCommand } from '../../agent/commands/wake.ts';
import type { ActiveState } from '../../agent/ports.ts';
import { createFakeContext } from '../fakes/context.ts';
import { createFakeHost } from '../fakes/host.ts';

const app = 'app.example.org';
const www = 'www.example.org';

const hostWith = (facade: ActiveState, container: ActiveState) => {
  const host = createFakeHost();
  host.disk.set(`/etc/appfleet/sites/${app}.ini`, '[site]\nruntime = node\nimage = demo/node-app\n');
  host.disk.set(`/etc/appfleet/sites/${www}.ini`, '[site]\nruntime = static\nroot = /srv/www\n');
  host.active.set(`${app}.service`, facade).set(`${app}-app.service`, container).set(`${www}.service`, 'active');
  return { host, context: createFakeContext(host) };
};

t.test('who is to sleep and does is told so, and nobody is woken or stopped for it', async (t) => {
  for (const state of ['inactive', 'failed'] as const) {
    const { host, context } = hostWith('active', state);
    t.equal(await sleepCommand(context, app), 0);
    t.equal(context.take(), `${app} is asleep`);
    t.equal(host.active.get(`${app}-app.service`), state);
  }
});

t.test('a stopped site neither wakes nor sleeps', async (t) => {
  const { host, context } = hostWith('inactive', 'inactive');
  t.equal(await sleepCommand(context, app), 1);
  t.equal(await wakeCommand(context, app), 1);
  const stopped = `! ${app} is stopped; start it with: service ${app} start`;
  t.equal(context.take(), `${stopped}\n${stopped}`);
  t.equal(host.active.get(`${app}-app.service`), 'inactive');
});

t.test('a site that is being restarted is not called stopped', async (t) => {
  for (const facade of ['deactivating', 'activating', 'reloading'] as const) {
    const { host, context } = hostWith(facade, 'inactive');
    t.equal(await wakeCommand(context, app), 0, facade);
    t.equal(host.active.get(`${app}-app.service`), 'active');
    host.active.set(`${app}-app.service`, 'inactive');
    t.equal(await sleepCommand(context, app), 0, facade);
  }
});

t.test('a static site has nothing to do with either', async (t) => {
  const { context } = hostWith('active', 'inactive');
  t.equal(await sleepCommand(context, www), 0);
  t.equal(await wakeCommand(context, www), 0);
  t.match(context.take(), /is static: it has nothing that could sleep\.\n.*is static: it has nothing to wake\./);
});

t.test('a name that nobody has is a mistake of the command line', async (t) => {
  const { context } = hostWith('active', 'inactive');
  t.equal(await sleepCommand(context, 'app.example.com'), 2);
  t.equal(await wakeCommand(context, 'app.example.com'), 2);
});

t.test('an alias and the name of a unit are as good as the domain', async (t) => {
  const { host, context } = hostWith('active', 'inactive');
  host.disk.set(
    `/etc/appfleet/sites/${app}.ini`,
    '[site]\naliases = alias.example.org\nruntime = node\nimage = demo/node-app\n',
  );
  for (const word of ['alias.example.org', `${app}.service`]) {
    t.equal(await wakeCommand(context, word), 0);
    t.match(context.take(), `${app} is awake`);
    host.active.set(`${app}-app.service`, 'inactive');
    t.equal(await sleepCommand(context, word), 0);
    t.equal(context.take(), `${app} is asleep`);
  }
});
