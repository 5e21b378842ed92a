/**
 * WordPress on MariaDB through a unix socket, as the demo puts it up: installed in its own web installer, used through HTTPS
 * only, over sleep and over whatever happens to its database. Then the tour of the demo, so that what it shows stays true.
 */
import picocolors from 'picocolors';
import t from 'tap';
import { awaitCertificates, demoSettings, removeDemoAuthority, startDemoAuthority } from '../host/demo-authority.ts';
import { demoDomains, removeDemoSites, putUpDemoSites, secretFiles } from '../host/demo-sites.ts';
import { writeBlog, wordPressOn } from '../host/demo-wordpress.ts';
import { type Answer, settingsFile } from '../host/fleet.ts';
import { takeTour } from '../host/tour.ts';
import { testHost, until } from './support.ts';

const blog = 'blog.example.org';
const title = 'A post that outlives its containers';
const fleet = testHost();
const { host } = fleet;
const wordpress = wordPressOn(host, blog);

t.setTimeout(240_000);
const before = await host.read(settingsFile);
t.before(async () => {
  await startDemoAuthority(host);
  await host.write(settingsFile, demoSettings);
  await putUpDemoSites(host);
  await awaitCertificates(host, demoDomains);
});
t.teardown(async () => {
  await removeDemoSites(host);
  await host.write(settingsFile, before);
  await removeDemoAuthority(host);
});

const read = (path = '/'): Promise<Answer> => fleet.ask(blog, path, { secure: true });

const putToSleep = async (): Promise<void> => {
  await until('WordPress falls asleep', async () => {
    const { code } = await host.run(['appfleet', 'sleep', blog], { allowFail: true });
    return code === 0;
  });
  await fleet.waitState(blog, 'asleep');
};

/** Statuses of what a few visitors get, one page after the other, until `work` has ended. */
const during = async (work: Promise<unknown>): Promise<number[]> => {
  const statuses: number[] = [];
  let over = false;
  const ended = work.finally(() => (over = true));
  const visitor = async (): Promise<void> => {
    while (!over) statuses.push((await read()).status);
  };
  await Promise.all([ended, visitor(), visitor(), visitor(), visitor()]);
  return statuses;
};

t.test('it is installed in its web installer and takes a post', async (t) => {
  t.equal(await wordpress.install('Tested'), 'installed');
  t.equal(await wordpress.install('Again'), 'was installed');
  await wordpress.logIn();
  const link = await wordpress.publish(title, 'It was written over HTTPS.');

  const post = await wordpress.get(link.slice(`https://${blog}`.length));
  t.match(post, { status: 200, body: /It was written over HTTPS\./ });
  const front = await wordpress.get('/');
  t.match(front, { status: 200, body: title });
  // It must believe in the visitors' address, not in a socket's or a port's.
  const links = [...front.body.matchAll(/(?:href|src)=["'](https?:\/\/[^/"']+)/g)].map(([, link]) => link);
  t.ok(links.length > 10, `${links.length} links`);
  const own = links.filter((link) => !/(?:\/|\.)(?:wordpress\.org|gravatar\.com)$/.test(link ?? ''));
  t.same([...new Set(own)], [`https://${blog}`], 'all links lead to its own name, over HTTPS');
  t.match(await wordpress.get('/?p=99999'), { status: 404, body: /<html/ }, 'its own page for what is not there');
  t.equal((await wordpress.get('/wp-config.php')).body, '', 'its settings are run, not shown');
});

t.test('a picture from its media library comes from nginx while it sleeps', async (t) => {
  const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
  const address = await wordpress.upload('dot.png', 'image/png', Buffer.from(png, 'base64'));
  await putToSleep();
  const picture = await read(address.slice(`https://${blog}`.length));
  t.match(picture, { status: 200, headers: { 'content-type': 'image/png' } });
  t.equal((await read('/wp-includes/css/dist/block-library/style.min.css')).status, 200);
  t.match(await fleet.status(blog), { state: 'asleep' });
});

t.test('sleep takes nothing from it: the post is there, and who was logged in still is', async (t) => {
  await putToSleep();
  t.match(await wordpress.get('/'), { status: 200, body: title });
  t.match(await wordpress.get('/wp-admin/'), { status: 200, body: /Dashboard/ });
  t.match(await fleet.status(blog), { state: 'awake' });
});

t.test('a restart of its database costs no visitor anything', async (t) => {
  const statuses = await during(host.run(['service', 'mysql', 'restart']));
  t.same([...new Set(statuses)], [200], `${statuses.length} requests`);
  t.match(await wordpress.get('/'), { status: 200, body: title });
});

t.test('without its database it is unavailable, and comes back with it by itself', async (t) => {
  await host.run(['service', 'mysql', 'stop']);
  await until('the site sleeps', async () => (await fleet.unit(`${blog}-app.service`)) !== 'active');
  t.match(await read(), { status: 503, headers: { 'retry-after': /^\d+$/ } });
  t.equal((await fleet.ask('app.example.org', '/', { secure: true })).status, 200, 'others do not care');
  await host.run(['service', 'mariadb', 'start']);
  await until('it answers', async () => (await read()).status === 200, 5);
  t.match(await wordpress.get('/'), { status: 200, body: title });
});

t.test('a database that is killed is started again, and the post is still there', async (t) => {
  await host.run(['docker', 'kill', '--signal', 'KILL', 'mysql']);
  await until('it answers', async () => (await read()).status === 200, 30);
  t.match(await wordpress.get('/'), { status: 200, body: title });
});

t.test('a reboot brings all of it back, asleep until somebody comes', async (t) => {
  await host.reboot();
  await until('the database is up', async () => (await fleet.unit('mysql-app.service')) === 'active', 60);
  t.match(await fleet.status(blog), { state: 'asleep' });
  t.match(await wordpress.get('/'), { status: 200, body: title });
});

t.test('passwords are readable for root only', async (t) => {
  const files = [...Object.values(secretFiles), `/var/lib/appfleet/start/${blog}/container.json`];
  const { stdout } = await host.run(['stat', '--format', '%a %U', ...files]);
  t.same([...new Set(stdout.trim().split('\n'))], ['600 root']);
  t.match(await host.read(secretFiles.database), /^MYSQL_ROOT_PASSWORD=\S{24,}$/m, 'the agent made one for root');
});

t.test('the tour of the demo', async (t) => {
  // The reboot has ended the CA: the sites keep what that one signed, this one signs what the tour orders.
  await startDemoAuthority(host);
  await writeBlog(host);
  await host.run(['appfleet', 'sleep', 'app.example.org']);
  const lines: string[] = [];
  const colours = picocolors.createColors(false);
  const line = (text = ''): void => void lines.push(text);
  await takeTour({ isTerminal: false, width: 100, colours, line, say: line }, host);
  t.match(lines.at(-1), /all well/, 'to its end');
});
