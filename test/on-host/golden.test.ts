/*
 * The golden units and vhosts before the real systemd and the real nginx of a provisioned test host, named by APPFLEET_TEST_HOST.
 * Nothing of the host is touched: everything lies in a scratch folder.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';
import { createX509 } from '../../agent/adapters/x509.ts';
import { snippetCopy } from '../../agent/core/vhost.ts';
import { goldenUnits, goldenVhosts } from '../core/golden-cases.ts';
import { attachHost } from '../host/boot.ts';

const name = process.env.APPFLEET_TEST_HOST ?? '';
const host = attachHost(name);
if (!host) throw new Error(`no test host '${name}' runs; APPFLEET_TEST_HOST names one that npm run host:up made`);

const scratch = '/root/golden';
const ours = mkdtempSync(join(tmpdir(), 'appfleet-golden-'));
const put = (path: string, text: string): void => {
  mkdirSync(dirname(join(ours, path)), { recursive: true });
  writeFileSync(join(ours, path), text);
};

t.before(async () => {
  const wake = readFileSync(new URL('../../units/appfleet-wake@.service', import.meta.url), 'utf8');
  for (const { case: title, units, links } of goldenUnits()) {
    for (const [unit, text] of units) put(`units/${title}/${unit}`, text);
    for (const [link, target] of links) symlinkSync(target, join(ours, 'units', title, link));
    put(`units/${title}/appfleet-wake@.service`, wake);
    for (const unit of units.keys()) {
      // systemd-analyze takes no template, only an instance of one.
      const site = /^(.*)\.socket$/.exec(unit)?.[1];
      if (site !== undefined) put(`units/${title}/appfleet-wake@${site}.service`, wake);
    }
  }
  const pair = await createX509().placeholder(['golden.example'], Date.now() / 1000);
  put('certificate/chain.pem', pair.chainPem);
  put('certificate/key.pem', pair.keyPem);
  const vhosts = goldenVhosts(host.release === 'bookworm' ? '1.22' : '1.26');
  const shared = vhosts.find((vhost) => vhost.shared);
  if (shared === undefined) throw new Error('no golden case shows the shared file');
  for (const [index, vhost] of vhosts.entries()) {
    const folder = `nginx/${index}`;
    const moved = (text: string): string =>
      text
        .replaceAll('/etc/nginx/appfleet/', `${scratch}/${folder}/vhosts/`)
        .replaceAll('/var/lib/appfleet/snippets/', `${scratch}/${folder}/snippets/`)
        .replaceAll(/\/var\/lib\/appfleet\/certs\/\S*\/(?=(chain|key)\.pem;)/g, `${scratch}/certificate/`);
    put(`${folder}/title`, vhost.title);
    put(`${folder}/shared.conf`, moved((vhost.shared ? vhost : shared).text));
    if (!vhost.shared) put(`${folder}/vhosts/site.conf`, moved(vhost.text));
    for (const text of vhost.snippets) put(join(folder, 'snippets', snippetCopy(text).replace(/^.*\//, '')), text);
    const here = `${scratch}/${folder}`;
    put(
      `${folder}/main.conf`,
      [
        `pid ${here}/pid;`,
        'error_log stderr;',
        'events {}',
        `http { include /etc/nginx/mime.types; gzip on; access_log off; include ${here}/shared.conf; }`,
        '',
      ].join('\n'),
    );
  }
  await host.sh(`rm -rf ${scratch}; mkdir ${scratch}`);
  await host.pipeFrom(['tar', '-C', ours, '-c', '.'], ['tar', '-C', scratch, '-x', '--no-same-owner']);
});

t.after(async () => {
  rmSync(ours, { recursive: true, force: true });
  await host.run(['rm', '-rf', scratch]);
});

/** Runs a command for each folder below `below` and gives what each said: folder -> lines. */
const each = async (below: string, command: string): Promise<Map<string, string>> => {
  const script = `cd ${scratch}/${below}; for f in *; do printf '\\001%s\\n' "$f"; { ${command}; } 2>&1 || echo "exit code $?"; done`;
  const { stdout } = await host.sh(script, { timeoutMs: 300_000 });
  return new Map(
    stdout
      .split('\x01')
      .slice(1)
      .map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]),
  );
};

t.test('systemd-analyze verify has nothing to say about any golden unit', async (t) => {
  // The colon at the end: the host's own units as well (docker.service), ours first.
  const said = await each(
    'units',
    'find "$f" ! -type d ! -name "*@.service" -print0 | SYSTEMD_UNIT_PATH="$PWD/$f:" xargs -0r systemd-analyze verify --man=no',
  );
  t.strictSame(
    [...said.keys()].sort(),
    goldenUnits()
      .map((golden) => golden.case)
      .sort(),
  );
  for (const [title, words] of said) t.equal(words, '', title);
});

t.test('systemd-analyze verify would have something to say about a wrong one', async (t) => {
  const check = `mkdir -p ${scratch}/wrong; cd ${scratch}/wrong; printf '[Service]\\nExecStart=/usr/bin/true\\nColour=red\\n' >x.service;
    SYSTEMD_UNIT_PATH="$PWD:" systemd-analyze verify --man=no "$PWD/x.service" 2>&1 || true`;
  t.match((await host.sh(check)).stdout, /Colour/);
});

t.test('nginx -t accepts every golden vhost without a warning', async (t) => {
  const said = await each('nginx', 'cat "$f/title"; echo; nginx -t -c "$PWD/$f/main.conf"');
  const expected = goldenVhosts(host.release === 'bookworm' ? '1.22' : '1.26');
  t.equal(said.size, expected.length);
  for (const [folder, words] of said) {
    const [title = '', ...lines] = words.trimEnd().split('\n');
    const main = `${scratch}/nginx/${folder}/main.conf`;
    t.strictSame(
      lines,
      [`nginx: the configuration file ${main} syntax is ok`, `nginx: configuration file ${main} test is successful`],
      title,
    );
  }
});
