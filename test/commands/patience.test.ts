import t from 'tap';
import { createPatience } from '../../agent/commands/patience.ts';
import { acquire, isTaken } from '../../agent/net/lock.ts';

t.test('a pass that nobody waits for stays away while certificates are ordered, for a time', async (t) => {
  let ordering = true;
  const staysAway = createPatience(() => Promise.resolve(ordering));
  t.equal(await staysAway(['second look']), true);
  t.equal(await staysAway(['interval', 'second look']), true);
  t.equal(await staysAway(['second look', '/etc/appfleet/sites/a.example.ini']), false, 'somebody saved a file');
  for (let times = 0; times < 20; times++) t.equal(await staysAway(['interval']), true);
  t.equal(await staysAway(['interval']), false, 'a CA may take hours');
  t.equal(await staysAway(['interval']), true);
  ordering = false;
  t.equal(await staysAway(['interval']), false);
});

t.test('who holds a lock can be seen without taking it', async (t) => {
  const name = `appfleet-test-${process.pid}`;
  t.equal(await isTaken(name), false);
  const release = await acquire(name);
  t.equal(await isTaken(name), true);
  t.equal(await acquire(name), null);
  await release?.();
  t.equal(await isTaken(name), false);
});
