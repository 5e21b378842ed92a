/** ansible/renew.yml against programs that report what is to be tried; the real one is run by the tests on the host. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { ensureTools } from '../host/tools.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));
await ensureTools(() => undefined);

interface Answer {
  report: string;
  code: number;
  complaint?: string;
}

const none = { renewed: [], failed: [], waiting: [], unchanged: 3 };
const renewed = [{ site: 'example.org', names: ['example.org'], expires: 1_800_000_000 }];
const failed = [
  { site: 'a.example', reason: 'does not resolve', again: 1_800_000_000 },
  { site: 'b.example', reason: 'the CA "said" {{ no }}: 429', again: 1_800_000_000 },
];

/** One run of the playbook; each of its hosts has a program that gives one answer. A run takes seconds, a host more does not. */
const play = async (t: Test, answers: Readonly<Record<string, Answer>>, args: readonly string[] = []) => {
  const folder = t.testdir();
  const path = (...names: string[]): string => join(folder, ...names);
  const hosts = Object.keys(answers);
  await writeFile(
    path('inventory.ini'),
    `[appfleet]\n${hosts.map((name) => `${name} ansible_connection=local\n`).join('')}`,
  );
  for (const [name, { report, code, complaint = '' }] of Object.entries(answers)) {
    await mkdir(path(name));
    await writeFile(path(name, 'report'), report);
    await writeFile(path(name, 'complaint'), complaint);
    await writeFile(
      path(name, 'appfleet'),
      `#!/bin/sh\ncd '${path(name)}'\necho "$*" > words\ncat complaint >&2\ncat report\nexit ${code}\n`,
    );
    await chmod(path(name, 'appfleet'), 0o755);
  }
  const env = {
    ...process.env,
    ANSIBLE_CONFIG: join(repository, 'ansible/ansible.cfg'),
    ANSIBLE_NOCOLOR: '1',
    ANSIBLE_LOCAL_TEMP: path('tmp'),
    ANSIBLE_REMOTE_TEMP: path('tmp'),
    LC_ALL: 'C.UTF-8',
  };
  const variables = JSON.stringify({ appfleet_program: `${folder}/{{ inventory_hostname }}/appfleet` });
  const text = await new Promise<string>((resolve) => {
    const all = ['-i', path('inventory.ini'), '-e', variables, ...args, join(repository, 'ansible/renew.yml')];
    execFile('ansible-playbook', all, { env, timeout: 120_000 }, (_error, stdout, stderr) => resolve(stdout + stderr));
  });
  return Promise.all(
    hosts.map(async (name) => {
      const [, changed, failed] = new RegExp(`^${name} .*changed=(\\d+).*failed=(\\d+)`, 'm').exec(text) ?? [];
      const said = text.split('\n').filter((line) => line.includes(`[${name}]`));
      const words = (await readFile(path(name, 'words'), 'utf8')).trim();
      return { changed, failed, words, said: said.join('\n') };
    }),
  );
};

t.test('changed and failed are what the program reports, site by site', async (t) => {
  const hooks = { ...none, renewed, hookFailures: ['10-haproxy for example.org ended with 2'] };
  const [idle, good, partly, hook, broken, misused] = await play(t, {
    idle: { report: JSON.stringify(none), code: 0 },
    good: { report: JSON.stringify({ ...none, renewed }, null, 2), code: 0 },
    partly: { report: JSON.stringify({ ...none, renewed, failed }), code: 1, complaint: 'on standard error\n' },
    hook: { report: JSON.stringify(hooks), code: 1 },
    broken: { report: '', code: 1, complaint: 'appfleet: the disk is full\n' },
    misused: { report: '', code: 2, complaint: 'error: unknown command\n' },
  });
  t.match(idle, { changed: '0', failed: '0', words: 'cert renew --json' });
  t.match(good, { changed: '1', failed: '0' });
  t.match(partly, { changed: '1', failed: '1' });
  t.match(partly?.said, /a\.example: does not resolve; b\.example: the CA \\"said\\" \{\{ no \}\}: 429"/);
  t.notMatch(partly?.said, /example\.org: /, 'a site that has its certificate is not blamed');
  t.match(hook, { changed: '1', failed: '1' });
  t.match(hook?.said, /10-haproxy for example\.org ended with 2/);
  t.match(broken, { changed: '0', failed: '1', said: /the disk is full/ });
  t.match(misused, { changed: '0', failed: '1' });
});

t.test('--check changes nothing and says what would change', async (t) => {
  const [due, idle] = await play(
    t,
    {
      due: { report: JSON.stringify({ ...none, due: renewed }), code: 0 },
      idle: { report: JSON.stringify({ ...none, due: [] }), code: 0 },
    },
    ['--check'],
  );
  t.match(due, { changed: '1', failed: '0', words: 'cert renew --json --dry-run' });
  t.match(idle, { changed: '0', failed: '0', words: 'cert renew --json --dry-run' });
});
