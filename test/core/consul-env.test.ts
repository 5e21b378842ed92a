/** Environment from Consul: what keys mean, which layer wins, what is kept and what is shown. */
import fc from 'fast-check';
import t from 'tap';
import {
  consulEnvironment,
  environmentFolder,
  masked,
  mergeLayers,
  parseValues,
  valuesText,
} from '../../agent/core/consul-env.ts';
import { namedConsul } from '../../agent/core/consul-environment.ts';
import { describeProblem } from '../../agent/core/problem.ts';

const folder = environmentFolder('appfleet');
const tree = (values: Record<string, string | Uint8Array>): Map<string, Uint8Array> =>
  new Map(Object.entries(values).map(([key, value]) => [key, typeof value === 'string' ? Buffer.from(value) : value]));

t.test('shared and own variables, in layers', (t) => {
  const read = consulEnvironment(
    folder,
    tree({ 'shared/': '', 'shared/A': 'shared', 'shared/B': 'shared', 'a.org/B': 'own', 'mysql/C': 'x' }),
  );
  t.strictSame(read.problems, []);
  t.strictSame(read.shared, { origin: 'consul:appfleet/env/shared/', values: { A: 'shared', B: 'shared' } });
  t.strictSame([...read.own.keys()], ['a.org', 'mysql']);
  const own = read.own.get('a.org');
  if (own === undefined) throw new Error('missing');
  t.strictSame(
    mergeLayers([
      { origin: 'file', values: { A: 'file', Z: 'file' } },
      read.shared,
      own,
      { origin: 'site', values: { C: 'override' } },
    ]),
    { A: 'shared', B: 'own', C: 'override', Z: 'file' },
    'file < shared < site < override',
  );
  t.end();
});

t.test('hostile keys are named, and cost the others nothing', (t) => {
  const read = consulEnvironment(
    folder,
    tree({
      'shared/GOOD': 'a=b\nc "$d" \u0007',
      'shared/BAD-NAME': 'secret1',
      'shared/1X': 'secret2',
      'shared/NUL': 'a\0secret3',
      'shared/LATIN': Buffer.from([0x68, 0xe9]),
      'shared/LONG': 'x'.repeat(600 * 1024),
      'shared/a/b': 'secret4',
      'shared/__proto__': 'secret5',
      alone: 'secret6',
    }),
  );
  t.strictSame(read.shared.values, { GOOD: 'a=b\nc "$d" \u0007' }, 'byte for byte');
  t.strictSame(read.problems.map(describeProblem), [
    'consul:appfleet/env/shared/BAD-NAME: `BAD-NAME` cannot be the name of a variable (use letters, digits and _, and no digit at the start)',
    'consul:appfleet/env/shared/1X: `1X` cannot be the name of a variable (use letters, digits and _, and no digit at the start)',
    'consul:appfleet/env/shared/NUL: the value holds a NUL, which no variable can',
    'consul:appfleet/env/shared/LATIN: the value is not UTF-8',
    'consul:appfleet/env/shared/LONG: the value has 614400 bytes; with its name a variable can have 131071',
    'consul:appfleet/env/shared/a/b: the key is not where variables are (write appfleet/env/shared/NAME or appfleet/env/example.org/NAME)',
    'consul:appfleet/env/shared/__proto__: this cannot be the name of a variable',
    'consul:appfleet/env/alone: the key is not where variables are (write appfleet/env/shared/NAME or appfleet/env/example.org/NAME)',
  ]);
  t.notMatch(JSON.stringify(read.problems), /secret\d/);
  t.end();
});

t.test('the file gives back every byte, and is the same for the same values', (t) => {
  const values = fc.dictionary(fc.stringMatching(/^[a-z.]{1,10}\/[A-Z]{1,5}$/), fc.uint8Array({ maxLength: 50 }));
  fc.assert(
    fc.property(values, (some) => {
      const map = new Map(Object.entries(some));
      const text = valuesText(folder, map);
      const back = parseValues(folder, text);
      return (
        valuesText(folder, new Map([...map].reverse())) === text &&
        back.size === map.size &&
        [...map].every(([key, bytes]) => Buffer.from(bytes).equals(Buffer.from(back.get(key) ?? [1])))
      );
    }),
  );
  for (const text of [null, '', '{', '[]', '{"folder":"x/env/","values":{"shared/A":"QQ=="}}', '{"folder":1}'])
    t.strictSame(parseValues(folder, text), new Map(), String(text));
  t.end();
});

t.test('what people see', (t) => {
  for (const name of ['DB_PASSWORD', 'api_key', 'AUTH', 'JWT_SECRET', 'TOKEN'])
    t.equal(masked(name, 'x'), '********', name);
  t.equal(masked('DATABASE_URL', 'mysql://u:p@h/d'), '********');
  t.equal(masked('URL', 'https://example.org/'), 'https://example.org/');
  t.equal(masked('TEXT', 'a\nb\u001b[31m'), 'a\\nb\\u001b[31m', 'nothing that a terminal acts on');
  t.equal(masked('LONG', 'x'.repeat(500)).length, 200);
  t.end();
});

t.test('Consul by the variables of its tools', (t) => {
  t.match(namedConsul({}, null), { value: { settings: { address: { kind: 'http', host: '127.0.0.1', port: 8500 } } } });
  t.match(namedConsul({ CONSUL_HTTP_ADDR: 'consul:8501', CONSUL_HTTP_SSL: 'true', CONSUL_HTTP_TOKEN: 't' }, null), {
    value: { settings: { address: { kind: 'https', host: 'consul', port: 8501 } }, token: 't' },
  });
  t.match(namedConsul({ CONSUL_HTTP_ADDR: 'unix:///run/c.sock', CONSUL_CACERT: '/ca' }, null), {
    value: { settings: { address: { kind: 'unix', path: '/run/c.sock' }, caFile: '/ca' } },
  });
  t.match(namedConsul({ CONSUL_HTTP_ADDR: 'a b' }, null), { ok: false, message: /^CONSUL_HTTP_ADDR/ });
  t.end();
});
