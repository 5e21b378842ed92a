import t from 'tap';
import { sleepCommand, wakeCommand } from '../../agent/commands/wake.ts';
import type { ActiveState } from '../../agent/ports.ts';
import { createFakeContext } from '../fakes/context.ts';
import { createFakeHost } from '../fakes/host.ts';

const app = 'app.example.org';
const www = 'www.example.org';

const hostWith = (facade: ActiveState, container: ActiveState) => {
  const host = createFakeHost();
  for (const name of [app, 'cache']) host.disk.set(`/var/lib/appfleet/start/${name}/opened`, '\n');
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

t.test('a site that was never opened is not called stopped', async (t) => {
  const { host, context } = hostWith('inactive', 'inactive');
  host.disk.delete(`/var/lib/appfleet/start/${app}/opened`);
  t.equal(await sleepCommand(context, app), 1);
  t.equal(await wakeCommand(context, app), 1);
  const line = `! ${app} is not applied yet; to see why: appfleet status ${app}`;
  t.equal(context.take(), `${line}\n${line}`);
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

t.test('what may not sleep is left awake, and the reason is said', async (t) => {
  const { host, context } = hostWith('active', 'active');
  host.disk.set('/etc/appfleet/services/mysql.ini', '[service]\nimage = mariadb:11\n');
  host.disk.set('/etc/appfleet/services/cache.ini', '[service]\nimage = redis:7\nidle = 1h\n');
  for (const name of ['mysql', 'cache'])
    host.active.set(`${name}.service`, 'active').set(`${name}-app.service`, 'active');
  const site = '[site]\nruntime = node\nimage = demo/node-app\nneeds = cache\n';
  host.disk.set(`/etc/appfleet/sites/${app}.ini`, site);
  host.disk.set('/etc/appfleet/sites/always.example.org.ini', `${site}idle = never\n`);
  host.active.set('always.example.org.service', 'active').set('always.example.org-app.service', 'active');

  const stays = async (name: string, because: string): Promise<void> => {
    t.equal(await sleepCommand(context, name), 1, name);
    t.equal(context.take(), `! ${name} was not put to sleep: ${because}`);
    t.equal(host.active.get(`${name}-app.service`), 'active');
  };
  const never = (name: string, folder: string): string =>
    `idle is never (/etc/appfleet/${folder}/${name}.ini), so it would be started again; to stop it: service ${name} stop`;
  await stays('mysql', never('mysql', 'services'));
  await stays('always.example.org', never('always.example.org', 'sites'));
  await stays('cache', `always.example.org, ${app} are awake and need it`);
  host.active.set('always.example.org-app.service', 'inactive');
  await stays('cache', `${app} is awake and needs it`);
  host.active.set(`${app}-app.service`, 'inactive');
  t.equal(await sleepCommand(context, 'cache'), 0);
  t.equal(context.take(), 'cache is asleep');
  t.equal(host.active.get('cache-app.service'), 'inactive');

  host.active.set('cache.service', 'inactive');
  t.equal(await sleepCommand(context, 'cache'), 1, 'a stopped one is no sleeping one');
  t.equal(context.take(), '! cache is stopped; start it with: service cache start');
});
