import t from 'tap';
import { createSandbox, nginxCases } from './nginx-cases.ts';
import { imitation } from './nginx-imitation.ts';
import { readVerdict } from '../../agent/adapters/nginx-test.ts';

for (const [title, body] of Object.entries(nginxCases))
  t.test(title, async (t) => {
    await body(createSandbox(t.testdir(), imitation));
  });

t.test('the first complaint counts, with its place where there is one', (t) => {
  const said = 'nginx: [warn] x in /a:1\nnginx: [emerg] unknown directive "y" in /b c.conf:12\nnginx: test failed\n';
  t.same(readVerdict(said), { message: 'unknown directive "y"', file: '/b c.conf', line: 12 });
  t.same(readVerdict('nginx: [emerg] no place here\n'), { message: 'no place here', file: null, line: 0 });
  t.same(readVerdict(''), { message: 'no reason given', file: null, line: 0 });
  t.end();
});
