/** ansible/renew.yml against a program that reports what is to be tried; the real one is run by the tests on the host. */
import { execFile } from 'node:child_process';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { ensureTools } from '../host/tools.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));
await ensureTools(() => undefined);

t.test('the playbook', async (t) => {
  const folder = t.testdir();
  const path = (name: string): string => join(folder, name);
  await writeFile(path('inventory.ini'), '[appfleet]\nweb1 ansible_connection=local\n');
  await writeFile(
    path('appfleet'),
    `#!/bin/sh\ncd '${folder}'\necho "$*" > words\ncat complaint >&2\ncat report\nexit "$(cat code)"\n`,
  );
  await chmod(path('appfleet'), 0o755);

  const play = async (report: string, code: number, { complaint = '', args = [] as string[] } = {}) => {
    await writeFile(path('report'), report);
    await writeFile(path('code'), String(code));
    await writeFile(path('complaint'), complaint);
    await rm(path('words'), { force: true });
    const env = {
      ...process.env,
      ANSIBLE_CONFIG: join(repository, 'ansible/ansible.cfg'),
      ANSIBLE_NOCOLOR: '1',
      ANSIBLE_LOCAL_TEMP: path('tmp'),
      ANSIBLE_REMOTE_TEMP: path('tmp'),
      LC_ALL: 'C.UTF-8',
    };
    const words = ['-i', path('inventory.ini'), '-e', `appfleet_program=${path('appfleet')}`, ...args];
    const said = await new Promise<{ code: number; text: string }>((resolve) => {
      const all = [...words, join(repository, 'ansible/renew.yml')];
      execFile('ansible-playbook', all, { env, timeout: 120_000 }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), text: stdout + stderr });
      });
    });
    const [, changed, failed] = /changed=(\d+).*failed=(\d+)/.exec(said.text) ?? [];
    return { ...said, changed, failed, words: (await readFile(path('words'), 'utf8')).trim() };
  };
  const none = { renewed: [], failed: [], waiting: [], unchanged: 3 };
  const renewed = [{ site: 'example.org', names: ['example.org'], expires: 1_800_000_000 }];
  const failed = [
    { site: 'a.example', reason: 'does not resolve', again: 1_800_000_000 },
    { site: 'b.example', reason: 'the CA "said" {{ no }}: 429', again: 1_800_000_000 },
  ];

  const idle = await play(JSON.stringify(none), 0);
  t.match(idle, { code: 0, changed: '0', failed: '0', words: 'cert renew --json' }, idle.text);

  const good = await play(JSON.stringify({ ...none, renewed }, null, 2), 0);
  t.match(good, { code: 0, changed: '1', failed: '0' }, good.text);

  const partly = await play(JSON.stringify({ ...none, renewed, failed }), 1, { complaint: 'on standard error\n' });
  t.match(partly, { code: 2, changed: '1', failed: '1' }, partly.text);
  t.match(partly.text, /a\.example: does not resolve; b\.example: the CA \\"said\\" \{\{ no \}\}: 429"/);
  t.notMatch(partly.text, /example\.org: /, 'a site that has its certificate is not blamed');

  const hook = await play(
    JSON.stringify({ ...none, renewed, hookFailures: ['10-haproxy for example.org ended with 2'] }),
    1,
  );
  t.match(hook.text, /10-haproxy for example\.org ended with 2/);
  t.equal(hook.code, 2);

  const dry = await play(JSON.stringify({ ...none, due: renewed }), 0, { args: ['--check'] });
  t.match(dry, { code: 0, changed: '1', words: 'cert renew --json --dry-run' }, dry.text);
  const dryIdle = await play(JSON.stringify({ ...none, due: [] }), 0, { args: ['--check'] });
  t.match(dryIdle, { code: 0, changed: '0', words: 'cert renew --json --dry-run' });

  const broken = await play('', 1, { complaint: 'appfleet: the disk is full\n' });
  t.match(broken, { code: 2, failed: '1', changed: '0' }, broken.text);
  t.match(broken.text, /the disk is full/);
  const misused = await play('', 2, { complaint: 'error: unknown command\n' });
  t.match(misused, { code: 2, failed: '1' });
});
