import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createDnsHook } from '../../agent/adapters/dns-hook.ts';
import { lastWords } from '../../agent/core/last-words.ts';

/** A program with that text; the folder's owner is who runs the test. */
const program = async (t: Test, text: string, mode = 0o755): Promise<string> => {
  const path = join(t.testdir(), 'hook');
  await writeFile(path, text);
  await chmod(path, mode);
  return path;
};

const value = 'x-_0123456789abcdefghijklmnopqrstuvwxyzABCDE';

t.test('words and surroundings', async (t) => {
  const folder = t.testdir();
  process.env['AF_T_SECRET'] = 'not for others';
  t.teardown(() => delete process.env['AF_T_SECRET']);
  const path = await program(
    t,
    `#!/bin/sh\n{ printf '%s\\n' "$#" "$@"; pwd; env | sort; read line || echo no input; } >> "$(dirname "$0")/log"\n`,
  );
  const hook = createDnsHook(path);
  await hook.add('*.example.org', value);
  const lines = (await readFile(join(folder, 'log'), 'utf8')).trim().split('\n');
  t.same(lines.slice(0, 6), ['4', 'add', '_acme-challenge.example.org', 'TXT', value, '/']);
  t.same(
    // The test runner adds some of its own, of several lines, to whatever is started.
    lines
      .slice(6)
      .map((line) => /^([A-Z_]+)=|^no input$/.exec(line)?.[0])
      .filter((name) => name !== undefined && !/TAP|NODE_OPTIONS/.test(name)),
    ['HOME=', 'LANG=', 'PATH=', 'PWD=', 'no input'],
  );
  await hook.remove('a.example.org', value);
  t.match(await readFile(join(folder, 'log'), 'utf8'), /^del\n_acme-challenge\.a\.example\.org\nTXT\n/m);
  for (const name of ['$(reboot).org', 'a b.org', 'a.org\n', '../x', ''])
    await t.rejects(hook.add(name, value), { code: 'AF_HOOK' }, name);
  await t.rejects(hook.add('example.org', 'a b'), { code: 'AF_HOOK' });
});

t.test('one run at a time', async (t) => {
  const path = await program(
    t,
    '#!/bin/sh\ncd "$(dirname "$0")"\nmkdir busy || exit 1\nsleep 0.1\nrmdir busy\necho "$1 $2" >> log\n',
  );
  const hook = createDnsHook(path);
  await Promise.all(['a.org', 'b.org', 'c.org'].flatMap((name) => [hook.add(name, value), hook.remove(name, value)]));
  t.equal((await readFile(join(t.testdirName, 'log'), 'utf8')).trim().split('\n').length, 6);
});

t.test('a program that fails', async (t) => {
  const says = async (script: string, limitSeconds?: number): Promise<string> => {
    const path = await program(t, script);
    const error: unknown = await createDnsHook(path, limitSeconds)
      .add('example.org', value)
      .catch((error: unknown) => error);
    t.match(error, { code: 'AF_HOOK' });
    return error instanceof Error ? error.message.replace(path, 'hook') : '';
  };
  const begins = 'hook add _acme-challenge.example.org';
  t.equal(await says('#!/bin/sh\nexit 3\n'), `${begins} ended with 3 and said nothing`);
  t.equal(
    await says('#!/bin/sh\nfor i in 1 2 3 4 5 6 7; do echo line $i; done\necho "no such zone" >&2\nexit 1\n'),
    `${begins} ended with 1: line 4 | line 5 | line 6 | line 7 | no such zone`,
  );
  t.equal(await says('#!/bin/sh\nkill -SEGV $$\n'), `${begins} was ended by SIGSEGV and said nothing`);
  t.equal(
    await says('#!/nowhere/sh\n'),
    'hook cannot be run: it, or the interpreter that its first line names, is not there',
  );

  const began = Date.now();
  t.equal(
    await says('#!/bin/sh\necho waiting for the zone\nexec sleep 60\n', 0.3),
    `${begins} did not end within 0.3 s: waiting for the zone`,
  );
  t.ok(Date.now() - began < 4000);
});

t.test('hostile output', async (t) => {
  const fails = async (script: string, limitSeconds?: number): Promise<string> => {
    const path = await program(t, script);
    const error: unknown = await createDnsHook(path, limitSeconds)
      .add('example.org', value)
      .catch((error: unknown) => error);
    const message = error instanceof Error ? error.message : '';
    t.ok(message.length < 1500, `${message.length} characters`);
    t.notMatch(message, /[\0-\x1f\x7f-\x9f\u202e]/);
    return message;
  };
  global.gc?.();
  const before = process.memoryUsage();
  t.match(await fails('#!/bin/sh\nhead -c 10000000 /dev/zero | tr "\\0" "x"\nexit 1\n'), /: x{197}\.\.\.$/);
  t.match(await fails('#!/bin/sh\nhead -c 10000000 /dev/zero\necho "the end"\nexit 1\n'), /: the end$/);
  t.match(await fails('#!/bin/sh\nhead -c 3000000 /dev/urandom >&2\nexit 1\n'), /ended with 1/);
  t.ok(process.memoryUsage().rss - before.rss < 60e6, 'what it says does not stay');
  t.match(
    await fails(
      String.raw`#!/bin/sh
printf '\033[31mred\033[0m \033]0;title\007\r\033[2Kforged: all is well\n\t\302\205a\342\200\256b\000c\n\033'
exit 1
`,
    ),
    /ended with 1: red \| forged: all is well \| abc$/,
  );
});

t.test('what it leaves behind', async (t) => {
  // The pipe stays open for a minute, and something goes on writing to it.
  const path = await program(
    t,
    '#!/bin/sh\n(while sleep 0.05; do echo still here || exit; done) &\nsleep 60 &\necho $! > "$(dirname "$0")/pid"\nexit 0\n',
  );
  const began = Date.now();
  await createDnsHook(path).add('example.org', value);
  t.ok(Date.now() - began < 3000, 'who left the program does not hold us up');
  const pid = Number(await readFile(join(t.testdirName, 'pid'), 'utf8'));
  process.kill(pid);

  const stubborn = await program(
    t,
    '#!/bin/sh\ntrap "" TERM\nsleep 60 &\necho $! > "$(dirname "$0")/pid"\nwait; wait\n',
  );
  await t.rejects(createDnsHook(stubborn, 0.3).add('example.org', value), { message: /did not end within 0\.3 s/ });
  const left = Number(await readFile(join(t.testdirName, 'pid'), 'utf8'));
  const state = await readFile(`/proc/${left}/stat`, 'utf8').catch(() => ') Z');
  t.match(state, /\) [ZX]/, 'whose time is over goes with its children');
});

t.test('a program that others could change is not run', async (t) => {
  const refusal = async (path: string): Promise<string> => {
    const error: unknown = await createDnsHook(path)
      .add('example.org', value)
      .catch((error: unknown) => error);
    t.match(error, { code: 'AF_HOOK', hint: 'see the setting acme_dns_hook' });
    return error instanceof Error ? error.message.replace(path, 'hook') : '';
  };
  const run = '#!/bin/sh\nexit 0\n';
  t.match(await refusal(await program(t, run, 0o775)), /^hook is not run: others than its owner may write to it/);
  t.match(await refusal(await program(t, run, 0o644)), /^hook is not run: it is not executable/);
  t.equal(await refusal(join(t.testdirName, 'absent')), 'hook is not run: it is not there');
  t.equal(await refusal(t.testdirName), 'hook is not run: it is not a regular file');
  const open = join(t.testdirName, 'open');
  await mkdir(open);
  await chmod(open, 0o777);
  await writeFile(join(open, 'hook'), run, { mode: 0o755 });
  await symlink('open/hook', join(t.testdirName, 'link'));
  t.match(
    await refusal(join(t.testdirName, 'link')),
    /^hook is not run: anybody may write to the folder .*open \(chmod o-w\)$/,
  );
  await chmod(open, 0o755);
  await createDnsHook(join(t.testdirName, 'link')).add('example.org', value);
});

t.test('last words', (t) => {
  t.equal(lastWords(''), '');
  t.equal(lastWords('\n\n a\tb \r\n\n'), 'a b');
  t.equal(lastWords('a\nb\nc', 2), 'b | c');
  t.equal(lastWords('10 %\r100 %\r'), '10 % | 100 %');
  t.equal(lastWords('\u001b[1;31mbold\u001b[0m\u001b(B'), 'bold');
  t.end();
});
