import { readFileSync } from 'node:fs';
import t from 'tap';
import { parseService } from '../agent/core/service.ts';
import { parseSite } from '../agent/core/site.ts';
import { readmePath, withReference } from './run/readme.ts';

const readme = readFileSync(readmePath, 'utf8');

t.test("README's reference is what the table of keys says", (t) => {
  t.equal(readme, withReference(readme), 'run: npm run docs');
  t.match(readme, /^\| `idle` /m);
  t.throws(() => withReference('no markers'), /lacks the lines/);
  t.end();
});

t.test("README's files are valid", (t) => {
  const [site = '', service = ''] = [...readme.matchAll(/```ini\n([\s\S]*?)```/g)].map(([, text = '']) => text);
  t.match(parseSite({ path: '/etc/appfleet/sites/example.org.ini', text: site }), { spec: { runtime: 'php-fpm' } });
  t.match(parseService({ path: '/etc/appfleet/services/mysql.ini', text: service }), { spec: { name: 'mysql' } });
  t.end();
});

t.test('README names no command that package.json lacks', (t) => {
  const { scripts } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const named = [...readme.matchAll(/npm run ([a-z:]+)/g)].map(([, name = '']) => name);
  t.ok(named.length > 5);
  for (const name of new Set(named)) t.ok(scripts[name] !== undefined, name);
  t.end();
});
