/** What Consul is told: records from states, and the changes between what it has and what it should have. */
import type { MemberState } from '../../agent/core/member-state.ts';
import fc from 'fast-check';
import t from 'tap';
import { dnsLabel } from '../../agent/core/consul-names.ts';
import {
  afterChanges,
  asKnown,
  type ObservedRecords,
  type ObservedService,
  planMirror,
} from '../../agent/core/consul-plan.ts';
import {
  type MirroredMember,
  type MirrorIdentity,
  parseRecord,
  recordsOf,
  verdictOn,
} from '../../agent/core/consul-records.ts';
import { parseSettings } from '../../agent/core/settings.ts';

const settings = (lines = '') => {
  const read = parseSettings({ path: '/x', text: `[consul]\n${lines}\n` });
  if ('problems' in read || read.settings.consul === null) throw new Error('settings');
  return read.settings.consul;
};
const identity: MirrorIdentity = { host: 'h1', version: '1', consul: settings() };

const site: MirroredMember = {
  name: 'example.org',
  kind: 'site',
  runtime: 'node',
  state: 'awake',
  since: '2026-11-21T17:00:00.000Z',
  reason: null,
  wakes: 3,
  image: 't/node:1',
  frontPort: 80,
  certificateExpires: null,
  container: { address: '172.17.0.2', port: null, health: null },
  serviceName: null,
  serviceTags: [],
};
const asleep: MirroredMember = { ...site, state: 'asleep', container: null };
const nothing: ObservedRecords = { services: new Map(), keys: new Map() };
const everything = (): boolean => true;

t.test('a site that is awake: its front, its container under a name of its own, and its record', (t) => {
  const { services, keys } = recordsOf(
    [site],
    { ...identity, consul: settings('tags = eu\nservice_prefix = web-') },
    false,
  );
  t.strictSame(
    [...services.values()],
    [
      {
        id: 'appfleet:h1:example.org',
        name: 'web-example-org',
        address: '',
        port: 80,
        tags: ['eu'],
        meta: {
          'appfleet-host': 'h1',
          'appfleet-name': 'example.org',
          domain: 'example.org',
          runtime: 'node',
          release: 't/node:1',
          state: 'awake',
        },
        status: 'passing',
        output: '',
        probe: 'reported',
      },
      {
        id: 'appfleet:h1:example.org:container',
        name: 'web-example-org-app',
        address: '172.17.0.2',
        port: 0,
        tags: ['eu'],
        meta: {
          'appfleet-host': 'h1',
          'appfleet-name': 'example.org',
          container: 'example.org',
          release: 't/node:1',
        },
        status: 'passing',
        output: '',
        probe: 'reported',
      },
    ],
  );
  t.strictSame(
    [...keys].map(([key, text]) => [key, JSON.parse(text) as unknown]),
    [
      [
        'appfleet/hosts/h1/sites/example.org',
        {
          state: 'awake',
          since: '2026-11-21T17:00:00.000Z',
          release: 't/node:1',
          certificateExpires: null,
          wakes: 3,
        },
      ],
    ],
  );
  t.end();
});

t.test('a shared container is one service at its own address; the agent has one too', (t) => {
  const mysql: MirroredMember = {
    ...site,
    name: 'mysql',
    kind: 'service',
    runtime: 'shared',
    frontPort: null,
    container: { address: '172.17.0.3', port: 3306, health: 'unhealthy' },
    serviceName: 'db',
    serviceTags: ['main'],
  };
  const { services, keys } = recordsOf([mysql], identity, true);
  t.strictSame([...services.keys()], ['appfleet:h1', 'appfleet:h1:mysql']);
  t.match(services.get('appfleet:h1'), { name: 'appfleet', status: 'passing', meta: { version: '1' } });
  const record = services.get('appfleet:h1:mysql');
  t.match(record, { name: 'db', address: '172.17.0.3', port: 3306, status: 'critical' });
  t.strictSame(record?.tags, ['main']);
  t.notOk('domain' in (record?.meta ?? {}));
  t.strictSame([...keys.keys()], ['appfleet/hosts/h1/services/mysql']);
  t.end();
});

t.test('what the check says in each state', (t) => {
  const health = (verdict: 'starting' | 'healthy' | 'unhealthy' | null) => ({
    address: null,
    port: null,
    health: verdict,
  });
  const cases: [Partial<MirroredMember>, string, RegExp][] = [
    [{ state: 'not applied' }, 'critical', /appfleet plan/],
    [{ state: 'refused' }, 'critical', /appfleet check/],
    [{ state: 'asleep' }, 'passing', /^$/],
    [{ state: 'sleeping' }, 'passing', /^$/],
    [{ state: 'waking' }, 'passing', /^$/],
    [{ state: 'served' }, 'passing', /^$/],
    [{ state: 'stopped' }, 'critical', /^stopped by hand; .*service example\.org start$/],
    [{ state: 'failed', reason: 'exit code 1' }, 'critical', /exit code 1/],
    [{ state: 'failed', reason: 'a\u001b[31mb\nlast' }, 'critical', /^failed: last$/],
    [{ state: 'failed', reason: null }, 'critical', /does not start/],
    [{ state: 'awake', container: health(null) }, 'passing', /^$/],
    [{ state: 'awake', container: health('healthy') }, 'passing', /^$/],
    [{ state: 'awake', container: health('starting') }, 'warning', /not passed yet/],
    [{ state: 'awake', container: health('unhealthy') }, 'critical', /unhealthy/],
  ];
  for (const [change, status, words] of cases) {
    const [got, output] = verdictOn({ ...site, ...change });
    t.equal(got, status, JSON.stringify(change));
    t.match(output, words);
  }
  t.end();
});

t.test('records of other hosts are read with care', (t) => {
  const [text = ''] = recordsOf([site], identity, false).keys.values();
  t.strictSame(parseRecord(text), {
    state: 'awake',
    since: '2026-11-21T17:00:00.000Z',
    release: 't/node:1',
    certificateExpires: null,
    wakes: 3,
  });
  for (const other of ['', 'null', '1', '[]', '{}', '{"state":"odd"}', '{"state":1}'])
    t.equal(parseRecord(other), null, other);
  t.match(parseRecord('{"state":"asleep","since":1,"wakes":"x"}'), { state: 'asleep', since: null, wakes: 0 });
  t.end();
});

t.test('names are DNS labels, different ones for different domains', (t) => {
  t.equal(dnsLabel('example.org'), 'example-org');
  t.equal(dnsLabel('xn--bcher-kva.example'), 'xn--bcher-kva-example');
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), (name) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(dnsLabel(name))),
  );
  const long = 'a'.repeat(100);
  t.not(dnsLabel(`${long}.org`), dnsLabel(`${long}.com`));
  t.end();
});

t.test('only what differs is written', (t) => {
  const wanted = recordsOf([site], identity, true);
  const { changes } = planMirror(wanted, nothing, 'h1', everything);
  t.strictSame(
    changes.map(({ kind }) => kind),
    ['register', 'register', 'register', 'put'],
  );
  const known = afterChanges(nothing, changes);
  t.strictSame(planMirror(wanted, known, 'h1', everything), { changes: [], taken: [] }, 'a second time: nothing');

  const slept = planMirror(recordsOf([asleep], identity, true), known, 'h1', everything).changes;
  t.strictSame(
    slept.map((change) => [change.kind, 'id' in change ? change.id : '']),
    [
      ['register', ''],
      ['put', ''],
      ['deregister', 'appfleet:h1:example.org:container'],
    ],
  );

  const unhealthy = recordsOf(
    [{ ...site, container: { address: '172.17.0.2', port: null, health: 'unhealthy' } }],
    identity,
    true,
  );
  t.strictSame(
    planMirror(unhealthy, known, 'h1', everything).changes.map(({ kind }) => kind),
    ['check', 'check'],
    'a verdict alone needs no registration',
  );

  const gone = planMirror(recordsOf([], identity, true), known, 'h1', everything).changes;
  t.strictSame(
    gone.map(({ kind }) => kind),
    ['deregister', 'deregister', 'delete'],
  );
  t.strictSame(planMirror(recordsOf([], identity, true), known, 'h1', () => false).changes, [], 'what is kept stays');
  t.end();
});

const stranger = (id: string, meta: Record<string, string> = {}): [string, ObservedService] => [
  id,
  { id, name: 'x', address: '', port: 1, tags: [], meta, check: null },
];

t.test('what is not ours stays, under an id and a key of ours too', (t) => {
  const foreign: ObservedRecords = {
    services: new Map([
      stranger('web'),
      stranger('appfleet:h2:a.org', { 'appfleet-host': 'h2' }),
      stranger('appfleet:h1:example.org'),
    ]),
    keys: new Map([
      ['appfleet/hosts/h1/note', { text: 'mine', ours: false }],
      ['appfleet/hosts/h1/sites/example.org', { text: 'mine', ours: false }],
    ]),
  };
  t.strictSame(planMirror(recordsOf([asleep], identity, false), foreign, 'h1', everything), {
    changes: [],
    taken: ['appfleet:h1:example.org', 'appfleet/hosts/h1/sites/example.org'],
  });
  t.end();
});

t.test('a lost check is made again, an expired one is corrected', (t) => {
  const wanted = recordsOf([asleep], identity, false);
  const known = afterChanges(nothing, planMirror(wanted, nothing, 'h1', everything).changes);
  const id = 'appfleet:h1:example.org';
  const withCheck = (check: { status: 'critical'; output: string } | null): ObservedRecords => {
    const service = known.services.get(id);
    if (service === undefined) throw new Error('missing');
    return { ...known, services: new Map([[id, { ...service, check }]]) };
  };
  t.match(planMirror(wanted, withCheck(null), 'h1', everything).changes, [{ kind: 'register' }]);
  t.strictSame(planMirror(wanted, withCheck({ status: 'critical', output: 'TTL expired' }), 'h1', everything).changes, [
    { kind: 'check', id, status: 'passing', output: '' },
  ]);
  t.end();
});

t.test('a site whose file cannot be read keeps its name; only its state is news', (t) => {
  const before = recordsOf([{ ...asleep, serviceName: 'shop', serviceTags: ['x'] }], identity, false);
  const known = afterChanges(nothing, planMirror(before, nothing, 'h1', everything).changes);
  const stopped = recordsOf([{ ...asleep, frontPort: null, state: 'stopped' }], identity, false);
  const wanted = asKnown(stopped, known, new Set(['appfleet:h1:example.org']));
  t.match(wanted.services.get('appfleet:h1:example.org'), {
    name: 'shop',
    port: 80,
    tags: ['x'],
    status: 'critical',
    meta: { state: 'stopped', domain: 'example.org' },
  });
  t.end();
});

t.test('whatever Consul has, one plan is enough, and it takes nothing from anybody', (t) => {
  const states: MemberState[] = ['stopped', 'asleep', 'waking', 'awake', 'sleeping', 'failed', 'served'];
  const member = fc.record({
    name: fc.constantFrom('a.org', 'b.org', 'c.org', 'mysql'),
    state: fc.constantFrom(...states),
    wakes: fc.nat(3),
    health: fc.constantFrom('healthy' as const, 'unhealthy' as const, null),
  });
  const fleet = fc.uniqueArray(member, { selector: ({ name }) => name }).map((some) =>
    some.map(({ name, state, wakes, health }): MirroredMember => ({
      ...site,
      name,
      kind: name === 'mysql' ? 'service' : 'site',
      state,
      wakes,
      container: state === 'awake' ? { address: '172.17.0.9', port: 1, health } : null,
    })),
  );
  const strangers: ObservedRecords = {
    services: new Map([stranger('s')]),
    keys: new Map([['appfleet/hosts/h1/x', { text: '', ours: false }]]),
  };
  fc.assert(
    fc.property(fleet, fleet, (before, after) => {
      const first = afterChanges(
        strangers,
        planMirror(recordsOf(before, identity, true), strangers, 'h1', everything).changes,
      );
      const wanted = recordsOf(after, identity, true);
      const { changes } = planMirror(wanted, first, 'h1', everything);
      const known = afterChanges(first, changes);
      return (
        planMirror(wanted, known, 'h1', everything).changes.length === 0 &&
        known.services.has('s') &&
        known.keys.has('appfleet/hosts/h1/x') &&
        known.services.size === wanted.services.size + 1 &&
        known.keys.size === wanted.keys.size + 1
      );
    }),
  );
  t.end();
});
