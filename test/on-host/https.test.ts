/** HTTPS without a CA: the placeholder, certificates that were put there, the admin's own, in every state of a site. */
import t, { type Test } from 'tap';
import { createX509 } from '../../agent/adapters/x509.ts';
import { generationName } from '../../agent/core/generation.ts';
import { accountKey, currentGeneration, generationFolder, pairPaths } from '../../agent/core/names.ts';
import { defaultSettings } from '../../agent/core/settings.ts';
import { makeAuthority } from '../certificates/make-certificate.ts';
import { testHost } from './support.ts';

const fleet = testHost();
const { host } = fleet;
const domain = (name: string): string => `${name}.https.example`;
const [app, www, own] = [domain('app'), domain('www'), domain('own')];
const settings = '/etc/appfleet/appfleet.ini';
const folder = '/srv/https-test';
const challenge = '/.well-known/acme-challenge/token_-1';
const x509 = createX509();
const day = 86_400;
const now = Date.now() / 1000;
const dates = { notBefore: now - day, notAfter: now + 30 * day };
let before = '';

const applied = async (code = 0): Promise<string> => {
  const did = await fleet.apply();
  if (did.code !== code) throw new Error(`appfleet apply: ${did.code}\n${did.stdout}${did.stderr}`);
  return did.stdout + did.stderr;
};
const nothing = async (t: Test, what: string): Promise<void> => {
  t.match((await host.run(['appfleet', 'plan'])).stdout, /^Nothing to do/, what);
};

/** Status, where it was sent, and the body; status 0 and why when there was no answer. */
const ask = async (url: string): Promise<{ status: number; to: string; body: string; why: string }> => {
  const { hostname } = new URL(url);
  const argv = ['curl', '-skS', '-m', '30', '-w', '\n%{http_code} %{redirect_url}'];
  for (const port of [80, 443]) argv.push('--resolve', `${hostname}:${port}:127.0.0.1`);
  const { stdout, stderr } = await host.run([...argv, url], { allowFail: true });
  const [, body = '', status = '0', to = ''] = /^([\s\S]*)\n(\d+) (.*)$/.exec(stdout) ?? [];
  return { status: Number(status), to, body, why: stderr.trim() };
};
/** Names in the certificate that a visitor of this name is shown. */
const shown = async (name: string): Promise<string> =>
  (
    await host.sh(
      `openssl s_client -connect 127.0.0.1:443 -servername ${name} </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName | tail -n 1`,
      { allowFail: true },
    )
  ).stdout.trim();

/** Puts a generation where the store puts it. */
const install = async (name: string, pair: { chainPem: string; keyPem: string }): Promise<void> => {
  const generation = generationName(Date.now() / 1000, x509.read(pair.chainPem)[0]?.fingerprint ?? '');
  const { chain, key } = pairPaths(generationFolder(name, generation));
  await host.write(chain, pair.chainPem, 0o600);
  await host.write(key, pair.keyPem, 0o600);
  await host.run(['ln', '-sfn', generation, currentGeneration(name)]);
};

t.before(async () => {
  before = (await host.run(['cat', settings], { allowFail: true })).stdout;
  await host.write(settings, '[appfleet]\n');
  await host.write(`${folder}/index.html`, 'static');
  await fleet.putSite(app, 'runtime = node\nimage = demo/node-app\nidle = 1h');
  await fleet.putSite(
    www,
    `runtime = static\nroot = ${folder}\naliases = www.${www}\nredirect = www-to-apex\nhsts = 1d`,
  );
  await applied();
});

t.teardown(async () => {
  for (const name of [app, www, own]) await fleet.removeSite(name);
  await host.write(settings, before);
  await fleet.apply();
  // With these settings a run over certificates asks a CA that cannot be reached, and fails as it should.
  await host.sh('systemctl stop appfleet-renew.service; systemctl reset-failed appfleet-renew.service || true');
  await host.sh(
    `rm -rf ${folder} /etc/ssl/https-test.* ${[app, www, own].map((name) => generationFolder(name, '')).join(' ')}`,
  );
});

t.test('without a certificate a site is served on both ports, with the placeholder', async (t) => {
  for (const scheme of ['http', 'https']) {
    t.match(await ask(`${scheme}://${www}/`), { status: 200, body: 'static' }, scheme);
    t.match(await ask(`${scheme}://${app}/`), { status: 200 }, scheme);
    t.match(await ask(`${scheme}://www.${www}/x?y`), { status: 301, to: `${scheme}://${www}/x?y` });
  }
  t.match(await shown(www), /placeholder\.invalid/);
  t.match(await ask(`https://${domain('unknown')}/`), { status: 0, why: /unrecognized name|alert/ });
  t.equal(
    (await host.sh('stat -c %a /var/lib/appfleet/certs /var/lib/appfleet/certs/.placeholder/key.pem')).stdout,
    '700\n600\n',
  );
  await nothing(t, 'the second plan is empty');
});

t.test('with a certificate visitors are sent to HTTPS in one hop', async (t) => {
  const authority = await makeAuthority();
  for (const name of [app, www]) await install(name, await authority.issue({ names: [name, `www.${name}`], ...dates }));
  await applied();
  await nothing(t, 'the second plan is empty');
  t.match(await shown(www), new RegExp(`DNS:${www}`));
  t.match(await ask(`http://www.${www}/a%2Fb?c`), { status: 301, to: `https://${www}/a%2Fb?c` });
  t.match(await ask(`https://www.${www}/a`), { status: 301, to: `https://${www}/a` });
  t.match(await ask(`http://${app}/`), { status: 301, to: `https://${app}/` });
  t.match(await ask(`https://${app}/`), { status: 200 });
  const { stdout } = await host.run(['curl', '-skI', '--resolve', `${www}:443:127.0.0.1`, `https://${www}/`]);
  t.match(stdout, /^HTTP\/2 200/);
  t.match(stdout, /strict-transport-security: max-age=86400/i);
});

t.test('a challenge is answered in every state, and wakes nobody', async (t) => {
  const key = accountKey(defaultSettings.acme.directory ?? '');
  const had = (await host.run(['cat', key], { allowFail: true })).stdout;
  const keyPem = had === '' ? await x509.newKey('ecdsa') : had;
  await host.sh(`install -d -m 700 ${key.replace(/\/[^/]*$/, '')}`);
  await host.write(key, keyPem, 0o600);
  await applied();
  const expected = `token_-1.${x509.thumbprint(keyPem)}`;
  const answered = async (what: string): Promise<void> => {
    for (const name of [app, www, `www.${www}`, domain('unknown')])
      t.match(await ask(`http://${name}${challenge}`), { status: 200, body: expected }, `${name}: ${what}`);
  };
  await fleet.waitState(app, 'awake');
  await answered('awake');
  await host.run(['appfleet', 'sleep', app]);
  await fleet.waitState(app, 'asleep');
  await answered('asleep');
  t.equal((await fleet.status(app)).state, 'asleep', 'nobody was woken');
  await host.run(['systemctl', 'stop', app, www]);
  await answered('stopped');
  t.match(await ask(`https://${app}/`), { status: 503 });
  t.match(await ask(`https://${www}/`), { status: 503 });
  await host.run(['systemctl', 'start', app, www]);
  await host.run(['mv', key, '/root/https-test.key']);
  await applied();
  t.match(await ask(`http://${www}${challenge}`), { status: 301 }, 'without an account it is a path like any other');
  if (had !== '') await host.run(['mv', '/root/https-test.key', key]);
});

t.test('a pair of the admin: refused as long as it is wrong, copied when it is right', async (t) => {
  const authority = await makeAuthority();
  const put = async (chain: string, key: string): Promise<void> => {
    await host.write('/etc/ssl/https-test.pem', chain);
    await host.write('/etc/ssl/https-test.key', key, 0o600);
  };
  const pair = await authority.issue({ names: [own], ...dates });
  const other = await authority.issue({ names: [own], ...dates });
  const files = 'tls = files\ncertificate = /etc/ssl/https-test.pem\ncertificate_key = /etc/ssl/https-test.key';
  await put(pair.chainPem, other.keyPem);
  await fleet.putSite(own, `runtime = static\nroot = ${folder}\n${files}`);
  t.match(await applied(2), /does not belong/);
  t.match(await shown(own), /placeholder/);
  t.match(await ask(`http://${own}/`), { status: 200, body: 'static' });
  await put(pair.chainPem, pair.keyPem);
  await applied();
  t.match(await shown(own), new RegExp(`DNS:${own}`));
  t.match(await ask(`http://${own}/`), { status: 301 });
  await put('rubbish', pair.keyPem);
  t.match(await applied(2), /https-test\.pem cannot be used/);
  t.match(await ask(`https://${own}/`), { status: 200, body: 'static' });
  await put(other.chainPem, other.keyPem);
  await applied();
  await nothing(t, 'the second plan is empty');
});

t.test('https = both, only and off', async (t) => {
  const set = async (https: string): Promise<void> => {
    await fleet.putSite(www, `runtime = static\nroot = ${folder}\nhttps = ${https}`);
    await applied();
  };
  await set('both');
  for (const scheme of ['http', 'https']) t.match(await ask(`${scheme}://${www}/`), { status: 200, body: 'static' });
  await set('only');
  t.match(await ask(`http://${www}/`), { status: 404 });
  t.match(await ask(`https://${www}/`), { status: 200, body: 'static' });
  await set('off');
  t.match(await ask(`http://${www}/`), { status: 200, body: 'static' });
  t.match(await ask(`https://${www}/`), { status: 0 });
});

t.test('a pair that looks right and that nginx refuses: the last good one stays, others change', async (t) => {
  const authority = await makeAuthority();
  const good = await authority.issue({ names: [own], ...dates });
  const put = async (chain: string, key: string): Promise<void> => {
    await host.write('/etc/ssl/https-test.pem', chain);
    await host.write('/etc/ssl/https-test.key', key, 0o600);
  };
  const serial = async (): Promise<string> =>
    (
      await host.sh(
        `openssl s_client -connect 127.0.0.1:443 -servername ${own} </dev/null 2>/dev/null | openssl x509 -noout -serial`,
      )
    ).stdout.trim();
  await put(good.chainPem, good.keyPem);
  await fleet.putSite(
    own,
    `runtime = static\nroot = ${folder}\ntls = files\ncertificate = /etc/ssl/https-test.pem\ncertificate_key = /etc/ssl/https-test.key`,
  );
  await applied();
  const before = await serial();
  // Signed with SHA-1: names, dates, key and chain are right, and OpenSSL at its usual level wants none of it.
  await host.sh(`cd /etc/ssl
    openssl req -x509 -newkey rsa:2048 -nodes -keyout https-test.ca.key -out https-test.ca.pem -days 9 -subj /CN=sha1 2>/dev/null
    openssl req -newkey rsa:2048 -nodes -keyout https-test.new.key -out https-test.csr -subj /CN=${own} 2>/dev/null
    printf 'subjectAltName=DNS:${own}\n' >https-test.ext
    openssl x509 -req -sha1 -in https-test.csr -CA https-test.ca.pem -CAkey https-test.ca.key -days 9 -extfile https-test.ext -out https-test.new.pem 2>/dev/null
    chmod 600 https-test.new.key; mv https-test.new.key https-test.key; mv https-test.new.pem https-test.pem`);
  t.match(await applied(1), new RegExp(`${own}.*nginx.*md too weak`));
  t.equal(await serial(), before, 'visitors see the last good one');
  t.match(await ask(`https://${own}/`), { status: 200, body: 'static' });
  await fleet.putSite(www, `runtime = static\nroot = ${folder}\nhttps = only`);
  await applied(1);
  t.match(await ask(`https://${www}/`), { status: 200 }, 'others change on');
  await put(good.chainPem, good.keyPem);
  await applied();
  t.equal(await serial(), before);
});

t.test('protocols and ciphers are those of the intermediate profile, and no tickets are given', async (t) => {
  await fleet.putSite(www, `runtime = static\nroot = ${folder}`);
  await applied();
  const client = async (words: string): Promise<{ code: number; stdout: string }> =>
    host.sh(`openssl s_client -connect 127.0.0.1:443 -servername ${www} ${words} </dev/null 2>&1`, { allowFail: true });
  const new13 = await client('-tls1_3 -alpn h2,http/1.1');
  t.match(new13.stdout, /New, TLSv1\.3, Cipher is TLS_/);
  t.match(new13.stdout, /ALPN protocol: h2/);
  const old = await client('-tls1_2');
  t.match(old.stdout, /New, TLSv1\.2, Cipher is ECDHE-/);
  t.match(old.stdout, /Session-ID: [0-9A-F]{64}/, 'a session can be resumed');
  t.notMatch(old.stdout, /TLS session ticket:/, 'but not by a ticket, whose key nobody would change');
  // What the client itself would refuse must not pass for the server's answer.
  t.not((await client("-tls1_1 -cipher 'ALL:@SECLEVEL=0'")).code, 0, 'TLS 1.1');
  for (const cipher of ['AES256-SHA', 'AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-SHA'])
    t.not((await client(`-tls1_2 -cipher ${cipher}:@SECLEVEL=0`)).code, 0, cipher);
});

t.test('tls = off: the site is no part of HTTPS', async (t) => {
  await fleet.putSite(www, `runtime = static\nroot = ${folder}\ntls = off`);
  await applied();
  t.match(await ask(`http://${www}/`), { status: 200, body: 'static' });
  t.match(await ask(`https://${www}/`), { status: 0 });
  t.notMatch((await host.run(['appfleet', 'cert', 'list'])).stdout, new RegExp(`^${www} `, 'm'));
});
