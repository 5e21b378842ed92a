import fc from 'fast-check';
import t from 'tap';
import { desiredService, desiredSite, type Member } from '../../agent/core/desired.ts';
import { appUnit, siteUnit, socketUnit, unitPath, wakeUnit } from '../../agent/core/names.ts';
import { type ObservedState, planChanges } from '../../agent/core/plan.ts';
import { describeStep, type Step } from '../../agent/core/step.ts';
import { parseService } from '../../agent/core/service.ts';
import { parseSettings } from '../../agent/core/settings.ts';
import { parseSite } from '../../agent/core/site.ts';
import { templates } from './golden-cases.ts';
import { createModelHost, type ModelHost } from './model-host.ts';

const read = parseSettings({ path: '/etc/appfleet/appfleet.ini', text: '' });
if ('problems' in read) throw new Error('the default settings have problems');
const { settings } = read;

const site = (name: string, text: string): Member => {
  const parsed = parseSite({ path: `/etc/appfleet/sites/${name}.ini`, text: `[site]\n${text}\n` });
  if ('problems' in parsed) throw new Error(JSON.stringify(parsed.problems));
  return desiredSite(parsed.spec, parsed.spec.container?.env ?? {}, settings, templates);
};
const service = (name: string, text: string): Member => {
  const parsed = parseService({ path: `/etc/appfleet/services/${name}.ini`, text: `[service]\n${text}\n` });
  if ('problems' in parsed) throw new Error(JSON.stringify(parsed.problems));
  return desiredService(parsed.spec, parsed.spec.container.env, templates);
};

const node = (name: string, more = ''): Member => site(name, `runtime = node\nimage = node:20\n${more}`);
const fixed = (name: string): Member => site(name, `runtime = static\nroot = /srv/www/${name}`);
const db = (more = ''): Member => service('db', `image = mariadb:11\n${more}`);
const ignored = site('php.example', 'runtime = php-fpm\nimage = php:8.2-fpm\nroot = /srv/www/php');

const plan = (
  host: ModelHost,
  members: readonly Member[],
  keep: ReadonlySet<string> = new Set(),
  change: Partial<ObservedState> = {},
): Step[] => planChanges({ members, keep }, { ...host.observe(members, keep), ...change }, host.ownerOf);

const said = (...args: Parameters<typeof plan>): string[] =>
  plan(...args).map((step) =>
    describeStep(step)
      .replaceAll('/etc/systemd/system/', 'units/')
      .replaceAll('/var/lib/appfleet/start/', 'start/')
      .replaceAll('/run/appfleet/', 'run/'),
  );

/** Carries out what can be carried out, as apply.ts does; gives the owners that failed. Only what needs others may fail. */
const carryOut = (host: ModelHost, steps: readonly Step[]): Set<string> => {
  const failed = new Set<string>();
  for (const step of steps) {
    if (step.owner !== null && failed.has(step.owner)) continue;
    if (host.apply(step)) continue;
    if (step.kind !== 'start-unit' && step.kind !== 'restart-unit') throw new Error(`cannot ${describeStep(step)}`);
    failed.add(step.owner);
  }
  return failed;
};

/** A host on which these members have been applied. */
const hostWith = (...members: Member[]): ModelHost => {
  const host = createModelHost();
  carryOut(host, plan(host, members));
  return host;
};

t.test('a new site: image, what a start needs, units, open, vhost', (t) => {
  const members = [node('a.example')];
  t.strictSame(said(createModelHost(), members), [
    'pull image node:20',
    'write start/a.example/container.json',
    'write start/a.example/launch',
    'write units/a.example.service',
    'write units/a.example.socket',
    'write units/a.example-app.service',
    'start and enable a.example.service',
    'test vhosts, then install a.example',
    'make nginx load the vhosts',
  ]);
  t.strictSame(said(hostWith(...members), members), [], 'and then nothing');
  t.end();
});

t.test('databases come before who needs them, whatever their names', (t) => {
  const owners = plan(createModelHost(), [node('a.example', 'needs = db'), db('aliases = mariadb')])
    .filter((step) => step.kind === 'open')
    .map(({ owner }) => owner);
  t.strictSame(owners, ['db', 'a.example']);
  t.ok(said(createModelHost(), [db('aliases = mariadb')]).includes('link units/mariadb.service -> db.service'));
  t.end();
});

t.test('a changed container: an awake site restarts, one that sleeps gets it when it wakes', (t) => {
  const host = hostWith(node('a.example'));
  const changed = [node('a.example', 'memory = 64m')];
  const files = [
    'rewrite start/a.example/container.json',
    'rewrite start/a.example/launch',
    'remove run/a.example/failed',
  ];
  t.strictSame(said(host, changed), files, 'asleep');
  host.wake('a.example');
  t.strictSame(said(host, changed), [...files, 'restart a.example-app.service: its settings changed'], 'awake');
  host.units.set(appUnit('a.example'), 'activating');
  t.strictSame(
    said(host, changed),
    [...files, 'restart a.example-app.service: its settings changed'],
    'starting: from the old settings',
  );
  host.units.set(appUnit('a.example'), 'deactivating');
  t.strictSame(said(host, changed), files, 'deactivating: its next start takes the new settings');
  host.sleep('a.example');
  host.units.set(appUnit('a.example'), 'failed');
  host.containers.set('a.example', { name: 'a.example', site: 'a.example', spec: 'old', running: false });
  t.strictSame(said(host, changed), files, 'failed: forget the failure, and let the next request try');
  t.end();
});

t.test('an awake site that was changed and restarted is in step, also when the pass ended before the restart', (t) => {
  const host = hostWith(node('a.example'));
  host.wake('a.example');
  const changed = [node('a.example', 'memory = 64m')];
  const steps = plan(host, changed);
  carryOut(host, steps.slice(0, -1));
  t.strictSame(said(host, changed), ['restart a.example-app.service: its settings changed']);
  carryOut(host, plan(host, changed));
  t.strictSame(said(host, changed), []);
  t.end();
});

t.test('a changed unit: systemd reads its units again, also when the last pass died before it did', (t) => {
  const host = hostWith(node('a.example'));
  const changed = [node('a.example', 'stop_timeout = 30s')];
  const steps = plan(host, changed);
  t.strictSame(said(host, changed), [
    'rewrite start/a.example/container.json',
    'rewrite start/a.example/launch',
    'rewrite units/a.example.service',
    'rewrite units/a.example-app.service',
    'remove run/a.example/failed',
    'make systemd read changed units',
  ]);
  carryOut(
    host,
    steps.filter(({ kind }) => kind !== 'reload-units'),
  );
  t.strictSame(said(host, changed), ['make systemd read changed units']);
  t.end();
});

t.test('a unit whose file was taken away while it was up: systemd has to read the new one', (t) => {
  const host = hostWith(node('a.example'));
  for (const path of [...host.files.keys()]) if (path.endsWith('/a.example.service')) host.files.delete(path);
  t.strictSame(said(host, [node('a.example')]), ['rewrite units/a.example.service', 'make systemd read changed units']);
  t.end();
});

t.test('a removed site: its vhost first, then everything is stopped, then everything is removed', (t) => {
  const host = hostWith(node('a.example'), node('b.example'));
  host.wake('a.example');
  const rest = [node('b.example')];
  t.strictSame(said(host, rest), [
    'test vhosts, then remove a.example',
    'make nginx load the vhosts',
    'remove start/a.example/opened',
    'stop a.example.service',
    'stop a.example.socket',
    'stop a.example-app.service',
    'remove container a.example',
    'remove units/a.example-app.service',
    'remove units/a.example.service',
    'remove units/a.example.socket',
    'remove units/multi-user.target.wants/a.example.service',
    'remove start/a.example/container.json',
    'remove start/a.example/launch',
    'remove run/a.example',
    'remove start/a.example',
    'make systemd read changed units',
  ]);
  const stopped = plan(host, rest).findIndex(({ kind }) => kind === 'remove-container');
  const cut = hostWith(...rest, node('a.example'));
  carryOut(cut, plan(host, rest).slice(0, stopped));
  t.ok(said(cut, [...rest, node('a.example')]).includes('start and enable a.example.service'), 'it may come back');
  t.equal(carryOut(host, plan(host, rest)).size, 0);
  t.strictSame(said(host, rest), []);
  t.notOk(
    [...host.files.keys(), ...host.links.keys()].some((path) => path.includes('a.example')),
    'no trace',
  );
  carryOut(host, plan(host, [...rest, node('a.example')]));
  t.equal(host.units.get('a.example.service'), 'active', 'made again it opens again');
  t.end();
});

t.test('a container of ours without a site goes; one of a site that stays does not', (t) => {
  const host = hostWith(node('a.example'));
  for (const name of ['a.example', 'x.example'])
    host.containers.set(name, { name, site: name, spec: node('a.example').spec, running: false });
  t.strictSame(said(host, [node('a.example')]), ['remove container x.example']);
  t.strictSame(said(host, [node('a.example')], new Set(['x.example'])), []);
  t.end();
});

t.test('a site or service whose file cannot be understood keeps everything', (t) => {
  const members = [node('a.example', 'needs = db'), db('aliases = mariadb'), fixed('www.example')];
  const host = hostWith(...members);
  host.wake('a.example');
  t.strictSame(said(host, [], new Set(['a.example', 'db', 'www.example'])), []);
  t.strictSame(
    said(host, [fixed('www.example')], new Set(['a.example'])).filter((line) => line.includes('a.example')),
    [],
    'also while others are removed',
  );
  t.end();
});

t.test('what is not ours is never replaced', (t) => {
  const members = [db('aliases = mariadb')];
  const host = createModelHost();
  host.foreign.add(unitPath('mariadb.service'));
  const steps = said(host, members);
  t.notOk(
    steps.some((line) => line.includes('mariadb.service')),
    'an alias that a package owns is left out',
  );
  carryOut(host, plan(host, members));
  t.strictSame(said(host, members), []);
  t.end();
});

t.test('an alias that is gone is a name less, and nothing stops', (t) => {
  const host = hostWith(db('aliases = mariadb, mysqld'));
  t.strictSame(said(host, [db('aliases = mysqld')]), [
    'remove units/mariadb.service',
    'make systemd read changed units',
  ]);
  t.end();
});

t.test('whether a site is open is the choice of its admin', (t) => {
  const members = [node('a.example'), node('chat.example', 'idle = never'), db(), fixed('www.example')];
  const host = hostWith(...members);
  for (const { name } of members) host.close(name);
  host.links.clear(); // systemctl disable
  t.strictSame(said(host, members), []);
  t.end();
});

t.test('docker start by hand', (t) => {
  const members = [node('a.example')];
  const host = hostWith(...members);
  host.wake('a.example');
  host.sleep('a.example');
  const container = host.containers.get('a.example');
  if (container !== undefined) container.running = true;
  const start = 'start a.example-app.service: its container was started by hand';
  t.strictSame(said(host, members), [start], 'asleep: it is awake now');
  host.close('a.example');
  if (container !== undefined) container.running = true;
  t.strictSame(
    said(host, members),
    ['start a.example.service: its container was started by hand', start],
    'stopped: it is open now',
  );
  carryOut(host, plan(host, members));
  t.strictSame(said(host, members), []);
  t.end();
});

t.test('an open site without a socket gets it back, unless somebody hands its requests over right now', (t) => {
  const members = [node('a.example')];
  const host = hostWith(...members);
  host.units.set(socketUnit('a.example'), 'failed');
  t.strictSame(said(host, members), ['start a.example.socket: the site is open but nothing listens for it']);
  host.units.set(wakeUnit('a.example'), 'active');
  t.strictSame(said(host, members), []);
  host.units.delete(wakeUnit('a.example'));
  host.units.set(siteUnit('a.example'), 'inactive');
  t.strictSame(said(host, members), [], 'a closed one does not');
  t.end();
});

t.test('a switch that points to a container that is gone is turned', (t) => {
  const members = [node('a.example')];
  const host = hostWith(...members);
  host.switchedOn.add('a.example');
  t.strictSame(said(host, members), ['turn the switch of a.example to its wake socket: its container is gone']);
  for (const state of ['active', 'activating', 'deactivating'] as const) {
    host.units.set(appUnit('a.example'), state);
    t.strictSame(said(host, members), [], `not while its unit is ${state}`);
  }
  t.end();
});

t.test('a switch that is missing is made again', (t) => {
  const members = [node('a.example')];
  const host = hostWith(...members);
  const again = ['make the switch of a.example again: it is missing'];
  host.switchless.add('a.example');
  t.strictSame(said(host, members), again, 'asleep');
  host.units.set(appUnit('a.example'), 'active');
  t.strictSame(said(host, members), again, 'awake');
  host.close('a.example');
  t.strictSame(said(host, members), [], 'a closed site has none');
  t.end();
});

t.test('sockets whose files are gone are made again', (t) => {
  const members = [node('a.example')];
  const host = hostWith(...members);
  host.doorless.add('a.example');
  t.strictSame(said(host, members), ['restart a.example.socket: nobody can reach it any more']);
  host.doorless.clear();
  host.unreachable.add('a.example');
  t.strictSame(said(host, members), [], 'nobody is reached while it sleeps');
  host.units.set(appUnit('a.example'), 'active');
  t.strictSame(said(host, members), ['restart a.example-app.service: the socket of its container is gone']);
  t.end();
});

t.test('what never sleeps is started when it is down, but not against a closed database', (t) => {
  const members = [node('chat.example', 'idle = never\nneeds = db'), db()];
  const host = hostWith(...members);
  t.equal(host.units.get(appUnit('chat.example')), 'active');
  host.sleep('chat.example');
  t.strictSame(said(host, members), ['start chat.example-app.service: it never sleeps']);
  host.units.set(appUnit('chat.example'), 'failed');
  t.strictSame(said(host, members), ['start chat.example-app.service: it never sleeps']);
  host.close('db');
  t.strictSame(said(host, members), [], 'the database is closed');
  host.open('db');
  t.strictSame(
    said(host, members.slice(0, 1), new Set(['db'])),
    ['start chat.example-app.service: it never sleeps'],
    'an open database whose file is broken counts as well',
  );
  host.close('chat.example');
  t.strictSame(said(host, members), [], 'it is closed itself');
  t.end();
});

t.test(
  'what never sleeps comes up with a database that is opened in the same plan, but not if that one lacks something',
  (t) => {
    const chat = node('chat.example', 'idle = never\nneeds = db');
    const host = hostWith(chat, db());
    host.close('db');
    host.opened.delete('db');
    t.strictSame(said(host, [chat, db()]), [
      'start and enable db.service',
      'start chat.example-app.service: it never sleeps',
    ]);
    const cache = service('cache', 'image = redis:7');
    const needy = [chat, db('needs = cache'), cache];
    const other = hostWith(...needy);
    other.close('cache');
    t.strictSame(said(other, needy), [], 'nothing is started in vain');
    t.end();
  },
);

t.test('an image that two sites miss is pulled once; a failure is theirs and nobody else’s', (t) => {
  const host = hostWith(node('c.example'));
  const members = ['a.example', 'b.example'].map((name) => site(name, 'runtime = container\nport = 1\nimage = x'));
  const [pull, ...others] = plan(host, [...members, node('c.example', 'memory = 64m')]);
  t.match(pull, { kind: 'pull-image', image: 'x', owners: ['a.example', 'b.example'] });
  t.notOk(others.some(({ kind }) => kind === 'pull-image'));
  t.ok(others.some(({ owner }) => owner === 'c.example'));
  t.end();
});

t.test('a site that becomes static gives up its container; one that stops being static gets its socket', (t) => {
  const host = hostWith(node('a.example'));
  host.wake('a.example');
  t.strictSame(said(host, [fixed('a.example')]), [
    'rewrite start/a.example/launch',
    'rewrite units/a.example.service',
    'remove run/a.example/failed',
    'make systemd read changed units',
    'mark a.example as open: its mark is gone',
    'stop a.example-app.service',
    'stop a.example.socket',
    'remove container a.example',
    'remove units/a.example-app.service',
    'remove units/a.example.socket',
    'make systemd read changed units',
  ]);
  carryOut(host, plan(host, [fixed('a.example')]));
  t.strictSame(said(host, [fixed('a.example')]), []);
  t.ok(host.marked.has('a.example'), 'it is open');
  t.ok(said(host, [node('a.example')]).includes('start a.example.socket: the site is open but nothing listens for it'));
  host.close('a.example');
  t.strictSame(said(host, [fixed('a.example')]), [], 'a closed one stays closed');
  t.end();
});

t.test('a closed site whose socket somebody starts by hand is closed again', (t) => {
  const members = [node('a.example')];
  const host = hostWith(...members);
  host.close('a.example');
  host.units.set('a.example.socket', 'active');
  t.strictSame(said(host, members), ['stop a.example.socket']);
  host.wake('a.example');
  host.switchedOn.clear();
  const steps = plan(host, members);
  t.strictSame(steps.map(describeStep), ['stop a.example.socket', 'stop a.example-app.service']);
  carryOut(host, steps);
  t.strictSame(said(host, members), []);
  t.equal(host.units.get('a.example.service'), 'inactive');
  t.end();
});

t.test('vhosts alone, and a reload that is still due', (t) => {
  const members = [node('a.example'), fixed('b.example')];
  const host = hostWith(...members);
  t.strictSame(said(host, members, new Set(), { webNeedsReload: true }), ['make nginx load the vhosts']);
  t.strictSame(said(host, members, new Set(), { vhosts: { change: ['b.example'], remove: [], shared: true } }), [
    'test vhosts, then install b.example, install the shared file',
    'make nginx load the vhosts',
  ]);
  const many = Array.from({ length: 5 }, (_, n) => `s${n}.example`);
  t.strictSame(said(host, members, new Set(), { vhosts: { change: many, remove: ['x.example'], shared: false } }), [
    'test vhosts, then install s0.example, s1.example and 3 more, remove x.example',
    'make nginx load the vhosts',
  ]);
  t.end();
});

t.test('each kind of step belongs to somebody or to all', (t) => {
  for (const step of plan(createModelHost(), [node('a.example'), db('aliases = mariadb'), ignored]))
    t.equal(step.owner === null, ['pull-image', 'reload-units', 'install-vhosts', 'reload-web'].includes(step.kind));
  t.end();
});

// ---------------------------------------------------------------------------------------------------------------------

/** What the file of each name may say; null: there is none, 'broken': it cannot be understood. */
const fleets: Readonly<Record<string, readonly (Member | null | 'broken')[]>> = {
  'a.example': [null, 'broken', node('a.example'), node('a.example', 'memory = 64m'), fixed('a.example')],
  'b.example': [
    null,
    node('b.example', 'needs = db'),
    node('b.example', 'needs = db\nidle = never'),
    site('b.example', 'runtime = container\nimage = b\nport = 80\nneeds = db'),
  ],
  'c.sh': [null, node('c.sh', 'idle = never'), fixed('c.sh'), node('c.sh', 'stop_timeout = 1m')],
  db: [db(), db('aliases = mariadb'), db('idle = 1h\nneeds = cache'), 'broken'],
  cache: [service('cache', 'image = redis'), service('cache', 'image = redis:7\naliases = memory')],
};
const everybody = Object.keys(fleets);

/** Numbers instead of members: that keeps a counterexample readable. */
const fleet = fc.record(
  Object.fromEntries(everybody.map((name) => [name, fc.nat({ max: (fleets[name] ?? []).length - 1 })])),
);
type Choice = Record<string, number>;

const event = fc.tuple(
  fc.constantFrom(
    'open',
    'close',
    'wake',
    'sleep',
    'by hand',
    'stop',
    'edit',
    'lose',
    'stray',
    'deaf',
    'failed',
    'prune',
    'unmark',
  ),
  fc.constantFrom(...everybody),
);

/** What may happen to a host while no plan is carried out. */
const happen = (host: ModelHost, what: string, name: string): void => {
  const container = host.containers.get(name);
  const own = [...host.files.keys()].filter((path) => path.includes(name) && host.files.get(path) !== '');
  const up = host.units.get(appUnit(name)) === 'active';
  if (what === 'open') host.open(name);
  else if (what === 'close' && host.units.has(siteUnit(name))) host.close(name);
  else if (what === 'wake' && host.units.get(siteUnit(name)) === 'active') host.wake(name);
  else if (what === 'sleep' && up) host.sleep(name);
  else if (what === 'by hand' && container !== undefined) container.running = true;
  else if (what === 'stop' && container !== undefined && up) host.sleep(name);
  else if (what === 'edit' && own[0] !== undefined) host.files.set(own[0], `${host.files.get(own[0])}# edited\n`);
  else if (what === 'lose' && own.length > 2) host.files.delete(own[2] ?? '');
  else if (what === 'stray' && host.opened.has(name)) host.switchedOn.add(name);
  else if (what === 'deaf' && host.units.has(socketUnit(name))) host.units.set(socketUnit(name), 'failed');
  else if (what === 'failed' && host.units.has(appUnit(name)) && !up) host.units.set(appUnit(name), 'failed');
  else if (what === 'unmark') host.marked.delete(name);
  else if (what === 'prune' && container?.running === false) host.containers.delete(name);
};

const split = (choice: Choice): [Member[], Set<string>] => {
  const chosen = Object.entries(choice).map(([name, index]) => [name, fleets[name]?.[index] ?? null] as const);
  return [
    chosen.flatMap(([, one]) => (one === null || one === 'broken' ? [] : [one])),
    new Set(chosen.filter(([, one]) => one === 'broken').map(([name]) => name)),
  ];
};

/** What a second plan still wants, except from those who cannot have it. */
const leftOver = (host: ModelHost, members: readonly Member[], keep: ReadonlySet<string>): Step[] => {
  const steps = plan(host, members, keep);
  const failed = carryOut(host, steps);
  // A reload may be for units that such a one still has to give up.
  return steps.filter(({ kind, owner }) =>
    owner === null ? kind !== 'reload-units' || failed.size === 0 : !failed.has(owner),
  );
};

t.test(
  'whatever was there, and wherever a plan was cut off: the next one finishes, and then there is nothing to do',
  (t) => {
    let cuts = 0;
    let quiet = 0;
    fc.assert(
      fc.property(
        fc.array(fc.record({ fleet, events: fc.array(event, { maxLength: 6 }), cut: fc.nat(40) }), {
          minLength: 1,
          maxLength: 3,
        }),
        (rounds) => {
          const host = createModelHost();
          let last: Choice = {};
          for (const { fleet, events, cut } of rounds) {
            const [members, keep] = split(fleet);
            const steps = plan(host, members, keep);
            cuts += Math.min(cut, steps.length);
            carryOut(host, steps.slice(0, cut));
            for (const [what, name] of events) happen(host, what, name);
            last = fleet;
          }
          const [members, keep] = split(last);
          if (carryOut(host, plan(host, members, keep)).size === 0) quiet += 1;
          const rest = leftOver(host, members, keep);
          if (rest.length > 0) throw new Error(rest.map(describeStep).join('\n'));
        },
      ),
      { numRuns: 3000 },
    );
    t.ok(quiet > 2000 && cuts > 10_000, `${quiet} ended without any failure, after ${cuts} steps of plans cut off`);
    t.end();
  },
);

t.test('every cut of every change from one fleet to another is finished by the next plan', (t) => {
  const pairs = fc.sample(fc.tuple(fleet, fleet, fc.array(event, { maxLength: 3 })), { numRuns: 60, seed: 7 });
  let cuts = 0;
  for (const [before, after, events] of pairs) {
    const begin = (): ModelHost => {
      const host = createModelHost();
      const [members, keep] = split(before);
      carryOut(host, plan(host, members, keep));
      for (const [what, name] of events) happen(host, what, name);
      return host;
    };
    const [members, keep] = split(after);
    const length = plan(begin(), members, keep).length;
    for (let cut = 0; cut <= length; cut++) {
      const host = begin();
      carryOut(host, plan(host, members, keep).slice(0, cut));
      carryOut(host, plan(host, members, keep));
      const rest = leftOver(host, members, keep);
      if (rest.length > 0)
        t.fail(
          `${JSON.stringify([before, after, events])} cut before step ${cut}: ${rest.map(describeStep).join('; ')}`,
        );
      cuts += 1;
    }
  }
  t.ok(cuts > 500, `${cuts} cuts`);
  t.end();
});
