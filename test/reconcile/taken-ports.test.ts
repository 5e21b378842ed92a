import t from 'tap';
import { createReconciler, type Report } from '../../agent/reconcile/reconcile.ts';
import { templates } from '../core/golden-cases.ts';
import { createLivingHost } from './living-host.ts';

const settings = '/etc/appfleet/appfleet.ini';
const vhost = '/etc/nginx/appfleet/www.example.org.conf';

t.test('a port that another program has: the last ports stay, and all else goes on', async (t) => {
  const host = createLivingHost();
  const ports = (): string[] =>
    [...(host.disk.get(vhost) ?? '').matchAll(/listen (\d+)/g)].map(([, port = '']) => port).sort();
  /** An agent that was just started. */
  const pass = (): Promise<Report> =>
    createReconciler(host, templates, () => 'x').apply({ width: 8, clock: () => 0, onProgress: () => undefined });
  host.disk.set('/etc/appfleet/sites/www.example.org.ini', '[site]\nruntime = static\nroot = /srv/www\n');
  t.strictSame((await pass()).problems, []);
  t.strictSame(ports(), ['443', '80']);

  host.taken.set(8080, 'node (process 7)');
  host.disk.set(settings, '[appfleet]\nhttp_port = 8080\nhttps_port = 8443\n');
  host.disk.set('/etc/appfleet/sites/www.example.org.ini', '[site]\nruntime = static\nroot = /srv/other\n');
  for (const round of ['first', 'second']) {
    t.strictSame(
      (await pass()).problems,
      [
        {
          file: settings,
          section: 'appfleet',
          key: 'http_port',
          message: 'port 8080 belongs to node (process 7): nginx stays on port 80',
          hint: 'stop that program or set another http_port, then: appfleet apply',
        },
      ],
      round,
    );
    t.strictSame(ports(), ['443', '80']);
    t.match(host.disk.get(vhost), '/srv/other', 'sites change on');
  }
  host.taken.clear();
  t.strictSame((await pass()).problems, []);
  t.strictSame(ports(), ['8080', '8443']);
  host.taken.set(8443, 'apache2 (process 8)');
  t.match((await pass()).problems, [
    { key: 'https_port', message: 'port 8443 belongs to apache2 (process 8): nginx cannot listen on it' },
  ]);
  t.strictSame(ports(), ['8080', '8443'], 'there are none to go back to');
});
