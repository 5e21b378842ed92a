/** Certificates from a real CA (Pebble): for sites in whatever state, with names that fail, with a CA that is away, killed anywhere. */
import { generateKeyPairSync } from 'node:crypto';
import t from 'tap';
import { fileURLToPath } from 'node:url';
import { createX509 } from '../../agent/adapters/x509.ts';
import { generationTime } from '../../agent/core/generation.ts';
import { provision } from '../host/provision.ts';
import { startPebble, type Pebble } from '../host/pebble.ts';
import { testHost } from './support.ts';

const fleet = testHost();
const { host } = fleet;
const settings = '/etc/appfleet/appfleet.ini';
const domain = (name: string): string => `${name}.cert.example`;
const node = 'runtime = node\nimage = demo/node-app\nidle = 1h\n';
const fixed = 'runtime = static\nroot = /srv/cert-test\n';

let pebble: Pebble;
let before = '';

interface Run {
  code: number;
  renewed: { site: string; names: string[]; expires: number; folder: string }[];
  failed: { site: string; reason: string; again: number }[];
  waiting: { site: string; reason: string; again: number }[];
  leftOut: { site: string; name: string; reason: string }[];
  unchanged: number;
  busy?: boolean;
}

const cert = async (...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
  host.run(['appfleet', 'cert', ...words], { allowFail: true, timeoutMs: 300_000 });
const order = async (...words: string[]): Promise<Run> => {
  const { code, stdout, stderr } = await cert(...words, '--json');
  try {
    return { code, ...(JSON.parse(stdout) as Omit<Run, 'code'>) };
  } catch {
    throw new Error(`appfleet cert ${words.join(' ')}: ${code}\n${stdout}${stderr}`);
  }
};
/** What went wrong in a run: nothing is the empty list. A pattern with an empty list in it would match any list. */
const troubles = ({ code, failed, waiting, leftOut }: Run): unknown[] => [
  ...(code === 0 ? [] : [`exit code ${code}`]),
  ...failed,
  ...waiting,
  ...leftOut,
];
const sitesOf = ({ renewed }: Run): string[] => renewed.map(({ site }) => site).toSorted();
const put = async (name: string, text: string): Promise<void> => {
  await fleet.putSite(domain(name), text);
};
const applied = async (): Promise<void> => {
  const { code, stdout, stderr } = await fleet.apply();
  if (code !== 0) throw new Error(`appfleet apply: ${code}\n${stdout}${stderr}`);
};
const state = async (name: string): Promise<string> => String((await fleet.status(domain(name))).state);

/** A request over TLS that trusts Pebble's root and nothing else: status and where it was sent. */
const secure = async (name: string, path = '/'): Promise<{ code: number; status: number; error: string }> => {
  const argv = ['curl', '-sS', '-m', '30', '-o', '/dev/null', '-w', '%{http_code}', '--cacert', '/run/pebble-root.pem'];
  argv.push('--resolve', `${name}:443:127.0.0.1`, `https://${name}${path}`);
  const { code, stdout, stderr } = await host.run(argv, { allowFail: true });
  return { code, status: Number(stdout), error: stderr.trim() };
};
/** Status, and the address that a redirect leads to. */
const plain = async (name: string, path = '/'): Promise<string> => {
  const argv = ['curl', '-sS', '-m', '30', '-o', '/dev/null', '-w', '%{http_code} %{redirect_url}'];
  argv.push('--resolve', `${name}:80:127.0.0.1`, `http://${name}${path}`);
  return (await host.run(argv)).stdout.trim();
};
const serial = async (name: string): Promise<string> =>
  (
    await host.sh(
      `echo | openssl s_client -connect 127.0.0.1:443 -servername ${name} 2>/dev/null | openssl x509 -noout -serial 2>/dev/null || true`,
    )
  ).stdout.trim();
const trustRoot = async (): Promise<void> => host.write('/run/pebble-root.pem', await pebble.root());

/** What tls-watch.mjs saw: by name, when each serial number was first met (seconds since the epoch). */
interface Visits {
  requests: number;
  failures: string[];
  seen: Record<string, Record<string, number>>;
}
const node20 = '/usr/lib/appfleet/node';
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const programs = (name: string): string => here(`programs/${name}`);
/** Runs a client of the folder beside this file inside the host. */
const client = async <T>(name: string, argument: unknown): Promise<T> => {
  const path = `/run/${name}`;
  await host.copyIn(here(`clients/${name}`), path);
  const { stdout } = await host.run([node20, path, JSON.stringify(argument)], { timeoutMs: 300_000 });
  return JSON.parse(stdout) as T;
};

/** programs/before-ca.cjs before Pebble, at port 14001; files in its folder tell it what to do. */
const startProxy = async (): Promise<{ folder: string; stop: () => Promise<unknown> }> => {
  const folder = '/run/before-ca';
  const unit = 'before-ca.service';
  await host.sh(`rm -rf ${folder}; mkdir ${folder}`);
  await host.copyIn(programs('before-ca.cjs'), `${folder}/before-ca.cjs`);
  const argv = ['systemd-run', '--quiet', '--collect', `--unit=${unit}`, node20, `${folder}/before-ca.cjs`];
  await host.run([...argv, folder, '14001', '14000']);
  return { folder, stop: () => host.sh(`systemctl stop ${unit}; rm -rf ${folder}`) };
};

const dropIn = '/run/systemd/system/appfleet-renew.service.d';
/** Whether certificates are ordered behind the tests' back: by the agent and the timer. */
const byItself = async (yes: boolean): Promise<void> => {
  if (yes) await host.sh(`rm -rf ${dropIn}; systemctl daemon-reload; systemctl start appfleet-renew.timer`);
  else {
    await host.write(`${dropIn}/test.conf`, '[Unit]\nConditionPathExists=/nowhere\n');
    await host.sh('systemctl daemon-reload; systemctl stop appfleet-renew.timer appfleet-renew.service');
  }
};

t.setTimeout(900_000);
t.before(async () => {
  before = await host.read(settings);
  pebble = await startPebble(host);
  await host.write(
    settings,
    `[appfleet]\nacme_directory = ${pebble.directoryUrl}\nacme_ca_file = ${pebble.caFile}\nacme_email = admin@cert.example\nacme_addresses = 127.0.0.1\n`,
  );
  await host.sh('mkdir -p /srv/cert-test; echo hello >/srv/cert-test/index.html');
  await byItself(false);
  await trustRoot();
});
t.afterEach(async () => {
  await host.sh('rm -f /etc/appfleet/sites/*.cert.example.ini; rm -rf /var/lib/appfleet/certs/*.cert.example');
  await fleet.apply();
});
t.teardown(async () => {
  await host.write(settings, before);
  await host.sh('rm -f /etc/appfleet/sites/*.cert.example.ini');
  await fleet.apply();
  await pebble.remove();
  await byItself(true);
  await host.sh('systemctl reset-failed appfleet-renew.service || true');
  await host.sh('rm -rf /srv/cert-test /var/lib/appfleet/acme /var/lib/appfleet/certs/*.cert.example');
});

t.test('without a CA there is nothing to do, and that is no failure', async (t) => {
  const ours = await host.read(settings);
  await host.write(settings, before);
  try {
    const { code, stdout, stderr } = await cert('renew');
    t.strictSame([code, stdout, stderr], [0, '', '']);
    t.equal((await cert('issue', 'nobody.cert.example')).code, 2);
  } finally {
    await host.write(settings, ours);
  }
});

t.test('from nothing to a certificate that browsers trust', async (t) => {
  const name = domain('new');
  await put('new', `${node}aliases = www.${name}\n`);
  await applied();
  t.equal(await plain(name), '200', 'without a certificate it is served over HTTP');
  const early = await secure(name);
  t.not(early.code, 0, `and over HTTPS with one that nobody trusts: ${early.error}`);
  await host.run(['appfleet', 'sleep', name]);

  const run = await order('renew');
  t.strictSame(troubles(run), []);
  t.strictSame(
    run.renewed.map(({ site, names }) => [site, names.toSorted()]),
    [[name, [name, `www.${name}`]]],
  );
  t.equal(await state('new'), 'asleep', 'nobody was woken for it');
  t.match(await secure(name), { code: 0, status: 200 });
  t.match(await secure(`www.${name}`), { code: 0, status: 200 });
  t.equal(await plain(name, '/a?b=c'), `301 https://${name}/a?b=c`);
  t.match(
    (await host.sh('stat -c %a /var/lib/appfleet/acme/*/account.key /var/lib/appfleet/certs/new.*/*/key.pem')).stdout,
    /^(600\n)+$/,
  );

  const quiet = await cert('renew');
  t.strictSame([quiet.code, quiet.stdout, quiet.stderr], [0, '', ''], 'cron hears nothing when nothing was due');
  const again = await order('renew');
  t.strictSame([troubles(again), sitesOf(again), again.unchanged], [[], [], 1]);
  t.match((await cert('list')).stdout, new RegExp(`^${name} `, 'm'));
  t.equal((await cert('list', '--expiring', '14d')).code, 0);
  t.equal((await cert('list', '--expiring', '99999d')).code, 1);
});

t.test('asleep, stopped, behind a password: each is renewed, and stays as it is', async (t) => {
  await put('asleep', node);
  await put('stopped', node);
  await put('secret', `${fixed}basic_auth = /etc/appfleet/cert.htpasswd\n`);
  await host.write('/etc/appfleet/cert.htpasswd', 'u:$apr1$x$jNcGBCdLKLPq3qXKTpq8y0\n');
  await applied();
  await host.run(['service', domain('stopped'), 'stop']);
  const run = await order('renew');
  t.strictSame(troubles(run), []);
  t.equal(run.renewed.length, 3);
  t.strictSame([await state('asleep'), await state('stopped')], ['asleep', 'stopped']);
  t.match(await secure(domain('stopped')), { code: 0, status: 503 }, 'closed, with a good certificate');
  t.match(await secure(domain('secret')), { code: 0, status: 401 });
});

t.test('names that fail are left out, and the others get their certificate', async (t) => {
  const name = domain('five');
  const all = ['a', 'b', 'broken', 'lost'].map((word) => `${word}.${name}`);
  await put('five', `${fixed}aliases = ${all.join(', ')}\n`);
  await applied();
  await pebble.breakDns(`broken.${name}`);
  await pebble.breakDns(`lost.${name}`);
  const run = await order('renew');
  t.equal(run.renewed.length, 1, JSON.stringify(run));
  t.strictSame(run.renewed[0]?.names.toSorted(), [`a.${name}`, `b.${name}`, name]);
  t.strictSame(run.leftOut.map((one) => one.name).toSorted(), [`broken.${name}`, `lost.${name}`]);
  t.match((await cert('list', '--json')).stdout, /goes without (lost|broken)\.five/);
  for (const command of ['status', 'doctor']) {
    const { stdout } = await host.run(['appfleet', command, name], { allowFail: true });
    for (const lost of ['broken', 'lost']) t.match(stdout, new RegExp(`${lost}\\.${name}: `), `${command} names it`);
  }
  const metrics = await host.run([
    'curl',
    '-sS',
    '--unix-socket',
    '/run/appfleet/agent.sock',
    'http://agent/v1/metrics',
  ]);
  t.match(metrics.stdout, `appfleet_certificate_names_left_out{site="${name}"} 2\n`);
  t.match(metrics.stdout, `appfleet_certificate_expiry_timestamp_seconds{site="${name}"} `);
  const again = await order('renew');
  t.strictSame([again.code, sitesOf(again)], [0, []], 'and it is not asked again at once');
});

t.test('a CA that is away costs nobody anything', async (t) => {
  await put('first', fixed);
  await put('second', fixed);
  await applied();
  await pebble.stop();
  const run = await order('renew');
  t.equal(run.code, 1);
  t.ok(run.failed.length >= 1 && run.failed.length + run.waiting.length === 2, 'the second does not even try');
  t.match(run.failed[0]?.reason, /cannot be reached|ECONNREFUSED|refused/);
  t.equal(await plain(domain('first')), '200');
  const patient = await order('renew');
  t.strictSame([patient.code, patient.failed, sitesOf(patient)], [0, [], []], 'the back-off outlives the process');
  await pebble.restart();
  await trustRoot();
  const back = await order('issue', domain('first'), domain('second'));
  t.strictSame([troubles(back), sitesOf(back)], [[], [domain('first'), domain('second')]]);
  t.match(await secure(domain('first')), { code: 0, status: 200 });
});

t.test('a wrong acme_ca_file is named, with what to do about it', async (t) => {
  await put('trust', fixed);
  await applied();
  const was = await host.read(settings);
  const file = '/run/cert-test-ca.pem';
  await host.write(settings, was.replace(/acme_ca_file = .*/, `acme_ca_file = ${file}`));
  try {
    for (const [text, why] of [
      [null, 'there is no such file'],
      ['rubbish', 'there is no certificate in PEM in it'],
    ] as const) {
      if (text !== null) await host.write(file, text);
      const check = await host.run(['appfleet', 'check'], { allowFail: true });
      t.match([check.code, check.stdout], [2, `${settings}: acme_ca_file: ${file} cannot be used: ${why} (put `]);
      const { code, stderr } = await cert('renew');
      t.match([code, stderr], [2, `${settings}: acme_ca_file: ${file} cannot be used: ${why}\n  try: put `]);
    }
    await host.write(file, await pebble.root());
    t.equal((await host.run(['appfleet', 'check'], { allowFail: true })).code, 0);
    const { failed } = await order('renew');
    t.match(
      failed[0]?.reason,
      new RegExp(`not trusted by this host.*${file}, which acme_ca_file in ${settings} names`),
    );
  } finally {
    await host.write(settings, was);
    await host.run(['rm', '-f', file]);
  }
  t.strictSame(sitesOf(await order('issue', domain('trust'))), [domain('trust')]);
});

t.test('two at once: one works, the other leaves', async (t) => {
  for (const name of ['p', 'q', 'r']) await put(name, fixed);
  await applied();
  const runs = await Promise.all([order('renew'), order('renew'), order('renew')]);
  t.equal(runs.filter(({ busy }) => busy === true).length, 2);
  t.equal(runs.flatMap(({ renewed }) => renewed).length, 3);
  const { stdout } = await host.sh('ls -d /var/lib/appfleet/certs/[pqr].cert.example/2*');
  t.equal(stdout.trim().split('\n').length, 3, 'each has one certificate');
});

t.test('killed anywhere, the next run goes on', async (t) => {
  await put('killed', fixed);
  await applied();
  let first = '';
  for (let milliseconds = 100; milliseconds < 1500; milliseconds += 100) {
    await host.run(['timeout', '-s', 'KILL', String(milliseconds / 1000), 'appfleet', 'cert', 'renew'], {
      allowFail: true,
    });
    const now = await serial(domain('killed'));
    t.not(now, '', `killed after ${milliseconds} ms: something answers`);
    first ||= now;
  }
  t.strictSame((await order('renew')).failed, []);
  t.match(await secure(domain('killed')), { code: 0, status: 200 });
  const { stdout } = await host.sh('ls -d /var/lib/appfleet/certs/killed.cert.example/2* | wc -l');
  t.ok(Number(stdout) <= 2, `${stdout.trim()} generations: no certificate was made twice without need`);
});

t.test('wildcards need a hook, and work with one', async (t) => {
  const name = domain('wild');
  await put('wild', `${fixed}aliases = *.${name}\n`);
  const check = await host.run(['appfleet', 'check'], { allowFail: true });
  t.equal(check.code, 2);
  t.match(check.stdout, /acme_dns_hook/);
  const hook = '/usr/local/bin/test-dns-hook';
  await host.write(
    hook,
    `#!/bin/sh\ncase $1 in add) verb=set-txt ;; *) verb=clear-txt ;; esac\ncurl -sS --fail -d "{\\"host\\":\\"$2.\\",\\"value\\":\\"$4\\"}" http://127.0.0.1:8055/$verb\n`,
    0o755,
  );
  const was = await host.read(settings);
  await host.write(settings, `${was}acme_dns_hook = ${hook}\n`);
  try {
    await applied();
    const run = await order('renew');
    t.strictSame([troubles(run), sitesOf(run)], [[], [name]]);
    t.match(await secure(`any.${name}`), { code: 0, status: 200 });
  } finally {
    await host.write(settings, was);
  }
});

t.test('hooks are told of what is new; a key of the kind that the site asks for', async (t) => {
  const name = domain('hooked');
  const hooks = '/etc/appfleet/hooks/cert-renewed.d';
  await host.write(
    `${hooks}/10-tell`,
    '#!/bin/sh\n{ echo "$RENEWED_DOMAINS"; openssl x509 -noout -subject -in "$RENEWED_LINEAGE/fullchain.pem"; openssl pkey -noout -text -in "$RENEWED_LINEAGE/privkey.pem" | head -n 1; } >/run/hook-said 2>&1\n',
    0o755,
  );
  t.teardown(() => host.sh(`rm -f ${hooks}/* /run/hook-said`));
  await put('hooked', `${fixed}key_type = rsa\n`);
  await applied();
  t.strictSame(troubles(await order('issue', name)), []);
  const said = (await host.read('/run/hook-said')).split('\n');
  t.equal(said[0], name);
  t.match(said[2], /2048 bit/, 'an RSA key, readable under the name that certbot gives it');

  await host.write(
    `${hooks}/20-broken`,
    '#!/bin/sh\necho $(rm -rf /nowhere) "it is \'$RENEWED_DOMAINS\'" >&2; exit 3\n',
    0o755,
  );
  const { code, stdout } = await cert('issue', name, '--json');
  t.equal(code, 1, 'a hook that failed is a failure that cron tells of');
  const run = JSON.parse(stdout) as Run & { hookFailures: string[] };
  t.equal(run.renewed.length, 1, 'and the certificate is in use all the same');
  t.match(run.hookFailures, [/20-broken.*it is 'hooked\.cert\.example'/]);
});

t.test('ansible/renew.yml says changed when, and only when, a certificate changed', async (t) => {
  await put('played', fixed);
  await applied();
  const renew = async (...args: string[]): Promise<string[]> =>
    (await provision(host, () => undefined, { playbook: 'renew.yml', args })).changed;
  t.strictSame(await renew('--check'), ['Renew what is due'], 'a dry run says what would change');
  t.not((await secure(domain('played'))).code, 0, 'and changed nothing');
  t.strictSame(await renew(), ['Renew what is due']);
  t.match(await secure(domain('played')), { code: 0, status: 200 });
  t.strictSame(await renew(), []);
});

t.test('a full disk, a lost account, a revoked certificate', async (t) => {
  const name = domain('full');
  await put('full', fixed);
  await applied();
  t.strictSame(sitesOf(await order('renew')), [name]);
  const old = await serial(name);
  const folder = `/var/lib/appfleet/certs/${name}`;
  await host.sh(`mv ${folder} ${folder}.kept; mkdir -m 700 ${folder}; mount -t tmpfs -o size=32k,mode=700 none ${folder}
    cp -a ${folder}.kept/. ${folder}/; dd if=/dev/zero of=${folder}/filler bs=4k 2>/dev/null || true`);
  try {
    const run = await order('issue', name);
    t.equal(run.code, 1);
    t.match(run.failed[0]?.reason, /no space left/, JSON.stringify(run));
    t.equal(await serial(name), old, 'the old one serves on');
    t.match(await secure(name), { code: 0, status: 200 });
  } finally {
    await host.sh(`umount ${folder}; rmdir ${folder}; mv ${folder}.kept ${folder}`);
  }

  await host.sh('rm /var/lib/appfleet/acme/*/account.key');
  t.strictSame(sitesOf(await order('issue', name)), [name], 'a lost key is replaced by a new account');
  const fresh = await serial(name);
  t.not(fresh, old);

  const tried = JSON.parse((await cert('revoke', name, '--dry-run', '--json')).stdout) as object;
  t.match(tried, { site: name, names: [name], revoked: false });
  t.match(await secure(name), { code: 0 }, 'and the certificate is in use');
  const revoked = await cert('revoke', name, '--yes', '--reason', 'superseded');
  t.equal(revoked.code, 0, revoked.stderr);
  t.not(await serial(name), fresh, 'it is out of use');
  t.strictSame(sitesOf(await order('renew')), [name]);
  t.match(await secure(name), { code: 0, status: 200 });

  t.equal((await cert('account', '--rollover')).code, 0);
  t.strictSame(sitesOf(await order('issue', name)), [name], 'the new key is as good as the old');
});

t.test('a rollover that was cut anywhere costs no account', async (t) => {
  const name = domain('rolled');
  await put('rolled', fixed);
  await applied();
  t.strictSame(sitesOf(await order('renew')), [name]);
  const folder = (await host.sh('dirname /var/lib/appfleet/acme/*/account.key')).stdout.trim();
  const [key, next] = [`${folder}/account.key`, `${folder}/account.next.key`];
  const account = async (): Promise<{ url: string; thumbprint: string }> =>
    JSON.parse((await cert('account', '--json')).stdout) as { url: string; thumbprint: string };
  const isWhole = async (what: string): Promise<void> => {
    t.strictSame(sitesOf(await order('issue', name)), [name], what);
    t.equal((await account()).url, url, `${what}: the same account`);
    t.equal((await host.run(['test', '-e', next], { allowFail: true })).code, 1, `${what}: no key is left over`);
  };
  const { url } = await account();

  await host.run(['cp', '-a', key, `${key}.old`]);
  t.equal((await cert('account', '--rollover')).code, 0);
  const { thumbprint } = await account();
  await host.sh(`mv ${key} ${next}; mv ${key}.old ${key}`);
  await isWhole('the CA had taken the new key, this host had not');
  t.equal((await account()).thumbprint, thumbprint);

  await host.sh(`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 >${next} 2>/dev/null`);
  await isWhole('the CA had not heard of the new key');
  t.equal((await account()).thumbprint, thumbprint);

  await host.run(['cp', '-a', key, next]);
  await isWhole('only the rest was to be removed');

  for (let milliseconds = 200; milliseconds < 1000; milliseconds += 80)
    await host.run(
      ['timeout', '-s', 'KILL', String(milliseconds / 1000), 'appfleet', 'cert', 'account', '--rollover'],
      {
        allowFail: true,
      },
    );
  await isWhole('killed again and again');
});

t.test('certificates of other programs are taken over', async (t) => {
  const name = domain('moved');
  await put('moved', fixed);
  await applied();
  t.strictSame(sitesOf(await order('renew')), [name]);
  const theirs = await serial(name);
  const folder = `/var/lib/appfleet/certs/${name}`;
  await host.sh(`rm -rf /srv/cert-import; mkdir /srv/cert-import; cp ${folder}/current/chain.pem /srv/cert-import/${name}.crt
    cp ${folder}/current/key.pem /srv/cert-import/${name}.key; rm -rf ${folder}`);
  await applied();
  t.not(await serial(name), theirs, 'it is gone');
  const dry = await cert('import', '/srv/cert-import', '--dry-run');
  t.match(dry.stdout, `${name} would take /srv/cert-import/${name}.crt`);
  t.not(await serial(name), theirs, 'a dry run takes nothing');
  const taken = await cert('import', '/srv/cert-import', '--json');
  t.equal(taken.code, 0, taken.stderr);
  t.match(JSON.parse(taken.stdout), { imported: [{ site: name }] });
  t.equal(await serial(name), theirs);
  t.equal((await cert('import', '/srv/cert-test')).code, 2, 'a folder without certificates');
  await host.sh('rm -rf /srv/cert-import');
});

t.test("certbot's account is gone on with", async (t) => {
  const name = domain('account');
  await put('account', fixed);
  await applied();
  const { host: authority, pathname } = new URL(pebble.directoryUrl);
  const accounts = `/srv/cert-import/accounts/${authority}${pathname}`;
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  await host.write(`${accounts}/aa/private_key.json`, JSON.stringify(privateKey.export({ format: 'jwk' })), 0o600);
  try {
    t.match((await cert('import', '/srv/cert-import')).stdout, /is not used: this host has an account with that CA/);
    await host.sh('rm -rf /var/lib/appfleet/acme');
    t.match((await cert('import', '/srv/cert-import')).stdout, 'this host takes the account');
    t.strictSame(sitesOf(await order('renew')), [name], 'its key signs orders, and nginx answers for it');
    const { stdout } = await cert('account', '--json');
    const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    t.equal((JSON.parse(stdout) as { thumbprint: string }).thumbprint, createX509().thumbprint(keyPem));
  } finally {
    await host.sh('rm -rf /srv/cert-import /var/lib/appfleet/acme');
  }
});

t.test('a CA that answers 429 is left alone for as long as it says, and profiles are asked for', async (t) => {
  const { folder, stop } = await startProxy();
  const was = await host.read(settings);
  const direct = pebble.directoryUrl;
  const use = (more = ''): Promise<void> =>
    host.write(settings, was.replace(direct, direct.replace('14000', '14001')) + more);
  const ordered = async (): Promise<{ identifiers: { value: string }[]; profile?: string }[]> =>
    (await host.sh(`cat ${folder}/orders 2>/dev/null || true`)).stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as { identifiers: { value: string }[]; profile?: string });
  const names = ['limit-a', 'limit-b', 'limit-c'].map(domain);
  try {
    await use();
    for (const name of ['limit-a', 'limit-b', 'limit-c']) await put(name, fixed);
    await applied();
    await host.write(`${folder}/limit`, '7200');
    const run = await order('renew');
    t.equal(run.code, 1);
    t.match(run.failed[0]?.reason, /too many new orders recently.*nothing to do but to wait/);
    const now = Date.now() / 1000;
    for (const { again } of [...run.failed, ...run.waiting]) t.ok(again - now > 7000, `next try in ${again - now} s`);
    await host.run(['rm', `${folder}/limit`]);
    for (const word of ['renew', 'issue']) {
      const held = await order(word, ...names);
      t.strictSame([held.failed, sitesOf(held), held.waiting.length], [[], [], 3], `${word}: what the CA said holds`);
    }
    t.strictSame(await ordered(), []);
    t.match(
      (await host.run(['appfleet', 'status', names[0] ?? ''], { allowFail: true })).stdout,
      /too many new orders/,
    );

    await host.sh('rm -rf /var/lib/appfleet/acme /var/lib/appfleet/certs/limit-*');
    await use('acme_profile = shortlived\n');
    t.strictSame(sitesOf(await order('issue', names[0] ?? '')), [names[0]], 'a CA without profiles: as usual');
    t.equal((await ordered()).at(-1)?.profile, undefined);
    await host.write(`${folder}/profiles`, '{"classic": "usual", "shortlived": "six days"}');
    t.strictSame(sitesOf(await order('issue', names[0] ?? '')), [names[0]]);
    t.equal((await ordered()).at(-1)?.profile, 'shortlived');
    await host.write(`${folder}/profiles`, '{"classic": "usual"}');
    const wrong = await order('issue', names[0] ?? '');
    t.match(wrong.failed[0]?.reason, /has no profile 'shortlived'.*it has: classic/);
  } finally {
    await host.write(settings, was);
    await stop();
    await host.run(['rm', '-rf', '/var/lib/appfleet/acme']);
  }
});

t.test('names that only the CA refuses, a chain for another key, a CA that falls silent', async (t) => {
  const name = domain('refused');
  const bad = 'www.blocked.example';
  await put('refused', `${fixed}aliases = www.${name}, ${bad}\n`);
  await applied();
  // Pebble 2.6 panics for names with fewer parts than a blocked one.
  await pebble.restart({ blocked: ['blocked.example'] });
  await trustRoot();
  const was = await host.read(settings);
  const proxy = await startProxy();
  try {
    const run = await order('renew');
    t.strictSame(run.renewed[0]?.names.toSorted(), [name, `www.${name}`], JSON.stringify(run));
    t.match(run.leftOut, [{ name: bad, reason: /rejectedIdentifier|blocked|policy/i }]);
    t.equal(run.code, 0);
    const good = await serial(name);

    await host.write(settings, was.replace(':14000', ':14001'));
    await host.write(
      `${proxy.folder}/chain`,
      (await host.sh(`cat /var/lib/appfleet/certs/${name}/current/chain.pem`)).stdout,
    );
    const wrong = await order('issue', name);
    t.match(wrong.failed[0]?.reason, /the CA sent a certificate that cannot be used: .*(key|belong)/);
    t.equal(await serial(name), good, 'the old one serves on');
    await host.run(['rm', `${proxy.folder}/chain`]);
    await host.write(settings, was);

    await pebble.freeze();
    const began = performance.now();
    const silent = await order('issue', name);
    t.match(silent.failed[0]?.reason, /no answer within 30 s/);
    t.ok(performance.now() - began < 120_000, 'it does not wait for ever');
    t.equal(await serial(name), good);
    await pebble.thaw();
    t.strictSame(sitesOf(await order('issue', name)), [name]);
    t.not(await serial(name), good);
  } finally {
    await pebble.thaw();
    await host.write(settings, was);
    await proxy.stop();
    await pebble.restart({});
    await trustRoot();
    await host.sh('rm -rf /var/lib/appfleet/acme');
  }
});

t.test('a clock that is wrong by a year is told of, and blocks nothing once it is right', async (t) => {
  const year = 365 * 86_400;
  const all = ['clock-a', 'clock-b', 'clock-c', 'clock-d'].map(domain);
  await host.copyIn(programs('other-clock.cjs'), '/run/other-clock.cjs');
  await pebble.restart({ validitySeconds: 90 * 86_400 });
  await trustRoot();
  const off = async (seconds: number): Promise<Run> => {
    const env = ['env', 'NODE_OPTIONS=--require=/run/other-clock.cjs', `APPFLEET_TEST_CLOCK=${seconds}`];
    const { code, stdout, stderr } = await host.run([...env, 'appfleet', 'cert', 'renew', '--json'], {
      allowFail: true,
    });
    if (!stdout.startsWith('{')) throw new Error(stderr);
    return { code, ...(JSON.parse(stdout) as Omit<Run, 'code'>) };
  };
  try {
    for (const [seconds, words] of [
      [-year, /not yet valid by this host's clock, which is behind by at least 36\d days/],
      [year, /has expired by this host's clock, which is ahead by at least 27\d days/],
    ] as const) {
      for (const name of all) await fleet.putSite(name, fixed);
      await applied();
      const wrong = await off(seconds);
      t.match(wrong.failed[0]?.reason, words);
      t.equal(wrong.failed.length + wrong.waiting.length, all.length);
      t.strictSame(sitesOf(wrong), []);
      t.match(await secure(all[0] ?? ''), { code: 60 }, 'the placeholder stands in');
      const right = await order('renew');
      t.strictSame([troubles(right), sitesOf(right)], [[], all]);
      t.match(await secure(all[0] ?? ''), { code: 0, status: 200 });
      const later = await off(seconds);
      t.strictSame(sitesOf(later), [], 'and with good certificates a wrong clock replaces none');
      await host.sh('rm -f /etc/appfleet/sites/clock-*; rm -rf /var/lib/appfleet/certs/clock-* /var/lib/appfleet/acme');
    }
  } finally {
    await host.run(['rm', '-f', '/run/other-clock.cjs']);
    await pebble.restart();
    await trustRoot();
  }
});

t.test('certificates that live for minutes are renewed by themselves, and no visitor notices', async (t) => {
  const names = Array.from({ length: 50 }, (_, index) => `m${index}`);
  await pebble.restart({ validitySeconds: 150 });
  await trustRoot();
  for (const name of names) await put(name, fixed);
  await applied();
  const first = await order('renew');
  t.strictSame([troubles(first), first.renewed.length], [[], names.length]);
  await byItself(true);
  const settingsNow = await host.read(settings);
  await host.write(settings, `${settingsNow}pass_interval = 5s\n`);
  try {
    const visits = await client<Visits>('tls-watch.mjs', {
      names: names.map(domain),
      caFile: '/run/pebble-root.pem',
      seconds: 170,
    });
    t.comment(`${visits.requests} requests`);
    t.strictSame(visits.failures, []);
    const { stdout } = await host.sh('cd /var/lib/appfleet/certs; ls -d *.cert.example/2*');
    const lines = stdout.trim().split('\n');
    const waits: number[] = [];
    for (const name of names.map(domain)) {
      const made = lines.flatMap((line) =>
        line.startsWith(`${name}/`) ? [generationTime(line.slice(name.length + 1)) ?? 0] : [],
      );
      const met = Object.values(visits.seen[name] ?? {}).toSorted((one, other) => one - other);
      const second = made.toSorted((one, other) => one - other)[1];
      if (second === undefined || met[1] === undefined) t.fail(`${name} was not renewed`);
      else waits.push(met[1] - second);
    }
    const longest = Math.max(...waits);
    t.ok(waits.length === names.length && longest < 60, `visitors saw all of them within ${longest.toFixed(1)} s`);
  } finally {
    await host.write(settings, settingsNow);
    await byItself(false);
    await pebble.restart();
    await trustRoot();
  }
});
