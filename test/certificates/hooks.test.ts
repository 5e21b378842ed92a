import { chmod, chown, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createFiles } from '../../agent/adapters/files.ts';
import { createHookPrograms } from '../../agent/adapters/hook-programs.ts';
import { runRenewedHooks } from '../../agent/certificates/hooks.ts';
import type { Files } from '../../agent/ports.ts';
import { makeAuthority } from './make-certificate.ts';

const authority = await makeAuthority();
const pairs = {
  'example.org': await authority.issue({ names: ['example.org', 'www.example.org'] }),
  'other.example': await authority.issue({ names: ['other.example'] }),
};

/** A folder for hooks, and the machine's files below another. */
const setUp = async (t: Test) => {
  const root = t.testdir();
  const hooks = join(root, 'hooks');
  await mkdir(hooks);
  const real = createFiles();
  const files: Files = {
    ...real,
    read: (path) => real.read(root + path),
    write: (file) => real.write({ ...file, path: root + file.path }),
    makeFolder: (path, mode) => real.makeFolder(root + path, mode),
    removeTree: (path) => real.removeTree(root + path),
  };
  const renewed = await Promise.all(
    Object.entries(pairs).map(async ([site, { chainPem, keyPem, leaf }]) => {
      const folder = `/certs/${site}/20270115T080000Z-01234567`;
      await files.write({ path: `${folder}/chain.pem`, text: chainPem, mode: 0o600 });
      await files.write({ path: `${folder}/key.pem`, text: keyPem, mode: 0o600 });
      return { site, folder, names: site === 'example.org' ? ['example.org', 'www.example.org'] : [leaf.name] };
    }),
  );
  const put = async (name: string, text: string, mode = 0o755): Promise<void> => {
    await writeFile(join(hooks, name), text);
    await chmod(join(hooks, name), mode);
  };
  const log = join(root, 'log');
  return {
    root,
    hooks,
    files,
    renewed,
    put,
    /** A hook that writes a line. */
    putLogging: (name: string, mode?: number) =>
      put(name, `#!/bin/sh\necho "${name} $APPFLEET_SITE" >> ${log}\n`, mode),
    lines: async () => (existsSync(log) ? (await readFile(log, 'utf8')).trim().split('\n') : []),
    run: async (limitSeconds?: number) =>
      (await runRenewedHooks({ files, programs: createHookPrograms(hooks, limitSeconds) }, renewed)).map((line) =>
        line.replaceAll(`${root}/`, ''),
      ),
  };
};

t.test('as certbot runs them', async (t) => {
  const host = await setUp(t);
  // The way that many hooks for haproxy, dovecot and the like are written.
  await host.put(
    '50-copy',
    `#!/bin/sh
set -e
cd ${host.root}/"$RENEWED_LINEAGE"
name=$(basename "$RENEWED_LINEAGE")
cat fullchain.pem privkey.pem > ${host.root}/"$name".haproxy
cat cert.pem chain.pem | cmp - fullchain.pem
for domain in $RENEWED_DOMAINS; do echo "$domain $APPFLEET_SITE $APPFLEET_FOLDER" >> ${host.root}/domains; done
stat -c '%a %n' . * >> ${host.root}/modes
`,
  );
  t.same(await host.run(), []);
  for (const [site, { chainPem, keyPem }] of Object.entries(pairs))
    t.equal(await readFile(join(host.root, `${site}.haproxy`), 'utf8'), chainPem + keyPem);
  t.same((await readFile(join(host.root, 'domains'), 'utf8')).trim().split('\n'), [
    'example.org example.org /certs/example.org/20270115T080000Z-01234567',
    'www.example.org example.org /certs/example.org/20270115T080000Z-01234567',
    'other.example other.example /certs/other.example/20270115T080000Z-01234567',
  ]);
  const modes = (await readFile(join(host.root, 'modes'), 'utf8')).trim().split('\n');
  t.same(modes.slice(0, 5), ['700 .', '600 cert.pem', '600 chain.pem', '600 fullchain.pem', '600 privkey.pem']);
  t.notOk(existsSync(join(host.root, 'run/appfleet/.renewed')), 'no key stays behind');
  t.same(await runRenewedHooks({ files: host.files, programs: createHookPrograms(host.hooks) }, []), []);
});

t.test('which files are hooks, and in what order', async (t) => {
  const host = await setUp(t);
  for (const name of ['20-b', '10-a', '.hidden', '10-a~', '10-a.dpkg-old', '20-b.dpkg-dist', 'Z.sh'])
    await host.putLogging(name);
  await host.putLogging('README', 0o644);
  await mkdir(join(host.hooks, 'folder'));
  await host.putLogging('30-link-target', 0o644);
  t.same(await host.run(), []);
  t.same(
    await host.lines(),
    ['example.org', 'other.example'].flatMap((site) => ['10-a', '20-b', 'Z.sh'].map((name) => `${name} ${site}`)),
  );
  t.same(
    await runRenewedHooks({ files: host.files, programs: createHookPrograms('/nowhere/at/all') }, host.renewed),
    [],
    'no folder, no hooks',
  );
  await writeFile(join(host.root, 'file'), '');
  const problems = await runRenewedHooks(
    { files: host.files, programs: createHookPrograms(join(host.root, 'file')) },
    host.renewed,
  );
  t.match(problems, [/^no hook is run: cannot list .*: ENOTDIR/]);
});

t.test('a failing hook stops nobody', async (t) => {
  const host = await setUp(t);
  await host.put('10-fails', '#!/bin/sh\nprintf "no \\033[31mway\\033[0m\\n" >&2\nexit 2\n');
  await host.put('20-crashes', '#!/bin/sh\nkill -KILL $$\n');
  await host.put('30-strange', '#!/nowhere/python\n');
  await host.put('40-hangs', '#!/bin/sh\n[ "$APPFLEET_SITE" = example.org ] && exec sleep 60\n');
  await host.putLogging('50-good');
  t.same(await host.run(0.5), [
    'hooks/10-fails for example.org ended with 2: no way',
    'hooks/20-crashes for example.org was ended by SIGKILL',
    'hooks/30-strange for example.org did not start: hooks/30-strange cannot be run: it, or the interpreter that its first line names, is not there',
    'hooks/40-hangs for example.org did not end within 0.5 s; it is not run for the sites that follow',
    'hooks/10-fails for other.example ended with 2: no way',
    'hooks/20-crashes for other.example was ended by SIGKILL',
    'hooks/30-strange for other.example did not start: hooks/30-strange cannot be run: it, or the interpreter that its first line names, is not there',
  ]);
  t.same(await host.lines(), ['50-good example.org', '50-good other.example']);
});

t.test('hooks that others could change are refused with words', async (t) => {
  const host = await setUp(t);
  await host.putLogging('10-open', 0o777);
  await host.putLogging('20-group', 0o775);
  await host.putLogging('30-good');
  await symlink('absent', join(host.hooks, '40-dangling'));
  await mkdir(join(host.root, 'open'));
  await chmod(join(host.root, 'open'), 0o777);
  await writeFile(join(host.root, 'open/hook'), '#!/bin/sh\n', { mode: 0o755 });
  await symlink('../open/hook', join(host.hooks, '50-link'));
  const expected = [
    'hooks/10-open is not run: others than its owner may write to it (chmod go-w)',
    'hooks/20-group is not run: others than its owner may write to it (chmod go-w)',
    'hooks/40-dangling is not run: it is not there',
    'hooks/50-link is not run: anybody may write to the folder ',
  ];
  if (process.geteuid?.() === 0) {
    await host.putLogging('60-owner');
    await chown(join(host.hooks, '60-owner'), 33, 33);
    expected.push('hooks/60-owner is not run: its owner is not root (chown root)');
  }
  const problems = await host.run();
  t.equal(problems.length, expected.length);
  for (const [at, line] of expected.entries()) t.ok(problems[at]?.startsWith(line), line);
  t.same(await host.lines(), ['30-good example.org', '30-good other.example']);

  await chmod(host.hooks, 0o777);
  const all = await host.run();
  t.ok(all.every((line) => line.includes('is not run: anybody may write to the folder ')));
  t.same((await host.lines()).length, 2, 'nothing of such a folder is run');
});

t.test('a site whose certificate is gone', async (t) => {
  const host = await setUp(t);
  await host.putLogging('10-a');
  await host.files.removeTree('/certs/example.org');
  t.match(await host.run(), [/^the hooks are not run for example\.org: the certificate is gone from /]);
  t.same(await host.lines(), ['10-a other.example']);
});
