/** The sites of the demo: the files in demo-sites/, where they go on a host, and the secrets that they name. */
import { readdirSync, readFileSync } from 'node:fs';
import { newPassword } from '../../agent/commands/secret.ts';
import type { TestHost } from './test-host.ts';

export interface HostFile {
  readonly path: string;
  readonly text: string;
}

const here = new URL('demo-sites/', import.meta.url);

const filesIn = (folder: string, target: string): HostFile[] =>
  readdirSync(new URL(`${folder}/`, here))
    .sort()
    .map((name) => ({
      path: `${target}/${name}`,
      text: readFileSync(new URL(`${folder}/${name}`, here), 'utf8'),
    }));

/** The database comes before the site that needs it, files before the site that serves them. */
export const demoFiles = (): HostFile[] => [
  ...filesIn('www', '/srv/www/www.example.org'),
  ...filesIn('services', '/etc/appfleet/services'),
  ...filesIn('sites', '/etc/appfleet/sites'),
];

export const secretFiles = { database: '/etc/appfleet/.env', blog: '/etc/appfleet/blog.example.org.env' } as const;

/** WordPress' password for its database, as each side reads it. The agent adds the database's root password itself. */
export const demoSecrets = (password: string): HostFile[] => [
  { path: secretFiles.database, text: `MYSQL_PASSWORD=${password}\n` },
  { path: secretFiles.blog, text: `WORDPRESS_DB_PASSWORD=${password}\n` },
];

/** Names of the sites. */
export const demoDomains = ['app.example.org', 'blog.example.org', 'www.example.org'] as const;

/** Folders that the sites fill with what they keep. */
const kept = ['/srv/mysql', '/srv/www/blog.example.org', '/srv/www/www.example.org'];

const units = ['mysql', ...demoDomains];

/** Puts the sites up, or back as they were, on a host with the product on it. Throws with what `appfleet apply` said. */
export const putUpDemoSites = async (host: TestHost): Promise<void> => {
  // The database keeps the password that it was made with.
  const known = await host.run(['test', '-s', secretFiles.blog], { allowFail: true });
  if (known.code !== 0) for (const { path, text } of demoSecrets(newPassword())) await host.write(path, text, 0o600);
  for (const { path, text } of demoFiles()) await host.write(path, text);
  const names = `127.0.0.1 ${demoDomains.join(' ')}`;
  await host.sh('grep -qxF "$NAMES" /etc/hosts || echo "$NAMES" >>/etc/hosts', { env: { NAMES: names } });
  const applied = await host.run(['appfleet', 'apply'], { allowFail: true, timeoutMs: 300_000 });
  if (applied.code !== 0) throw new Error(`appfleet apply ended with ${applied.code}\n${applied.stderr}`);
  // Somebody may have stopped one of them to see what happens.
  await host.run(['systemctl', 'start', ...units]);
};

/** Takes them away again, with all that they kept. */
export const removeDemoSites = async (host: TestHost): Promise<void> => {
  await host.run(['rm', '-f', secretFiles.blog, ...demoFiles().map(({ path }) => path)]);
  await host.run(['appfleet', 'apply'], { allowFail: true, timeoutMs: 300_000 });
  await host.run(['rm', '-rf', ...kept]);
  await host.run(['sed', '-i', '/^MYSQL_PASSWORD=/d', secretFiles.database]);
};
