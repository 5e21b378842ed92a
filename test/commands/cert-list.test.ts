import t from 'tap';
import { certListCommand } from '../../agent/commands/cert-list.ts';
import { makeAuthority } from '../certificates/make-certificate.ts';
import { createFakeTools } from '../fakes/certificates.ts';
import { createFakeContext } from '../fakes/context.ts';
import { createFakeHost } from '../fakes/host.ts';

const day = 86_400;

const setUp = () => {
  const host = createFakeHost();
  const tools = createFakeTools(host.files);
  const context = createFakeContext(host, { certificates: () => tools });
  const put = (name: string, text: string): void =>
    void host.disk.set(`/etc/appfleet/sites/${name}.ini`, `[site]\nruntime = static\nroot = /srv/a\n${text}`);
  const list = async (...words: string[]): Promise<Record<string, unknown>[]> => {
    await certListCommand(context, words, { json: true, expiring: null });
    return (JSON.parse(context.take()) as { certificates: Record<string, unknown>[] }).certificates;
  };
  return { host, tools, context, put, list };
};

t.test('a name that a wildcard covers is not missing', async (t) => {
  const { host, tools, put, list } = setUp();
  const name = 'example.org';
  host.disk.set('/etc/appfleet/appfleet.ini', '[appfleet]\nacme_dns_hook = /bin/true\n');
  put(name, `aliases = *.${name}, www.${name}\n`);
  const names = [name, `*.${name}`];
  const { chainPem, keyPem } = await (await makeAuthority()).issue({ names });
  await tools.store.install(name, { chainPem, keyPem }, names, host.clock);
  const [view] = await list();
  t.match(view, { site: name, names, problem: null });
  t.ok(Number(view?.['renewal']) > host.clock + 30 * day, 'it is not due');
});
