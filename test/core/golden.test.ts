import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import t from 'tap';
import {
  caseFolders,
  describeCase,
  goldenUnits,
  goldenVhosts,
  readExpected,
  renderCase,
  writeExpected,
} from './golden-cases.ts';

const update = process.env.UPDATE_GOLDEN !== undefined;

for (const folder of caseFolders('site'))
  t.test(basename(folder), async (t) => {
    const texts = await renderCase(folder);
    if (update) writeExpected(folder, texts);
    const expected = readExpected(folder);
    t.strictSame([...texts.keys()].sort(), [...expected.keys()].sort(), 'these files and no others');
    for (const [path, text] of texts) t.equal(text, expected.get(path), path);
  });

for (const folder of caseFolders('site-errors'))
  t.test(`error: ${basename(folder)}`, async (t) => {
    const said = await describeCase(folder);
    const file = join(folder, 'problems.txt');
    if (update) writeFileSync(file, said);
    t.equal(said, existsSync(file) ? readFileSync(file, 'utf8') : '(no such file)', 'problems.txt');
    t.not(said, '', 'an error case has problems');
  });

t.test('what the host stage checks is all there', (t) => {
  const cases = caseFolders('site').length;
  t.equal(goldenUnits().length, cases);
  t.ok(goldenUnits().filter(({ units }) => units.size > 0).length >= cases - 1, 'units in nearly every case');
  t.ok(goldenUnits().some(({ links }) => links.get('mariadb.service') === 'mysql.service'));
  for (const nginx of ['1.22', '1.26'] as const) {
    const vhosts = goldenVhosts(nginx);
    t.ok(vhosts.filter(({ shared }) => !shared).length >= cases - 2, `vhosts for nginx ${nginx}`);
    t.ok(vhosts.some(({ shared }) => shared) && vhosts.some(({ snippets }) => snippets.length === 2));
  }
  t.end();
});
