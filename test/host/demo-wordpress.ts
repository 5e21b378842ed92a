/** What a person does with a new WordPress in a browser: walk through its installer, log in, write a post, read it. */
import { newPassword } from '../../agent/commands/secret.ts';
import type { TestHost } from './test-host.ts';

export interface Page {
  status: number;
  body: string;
  /** Where it sends the browser, or nothing. */
  location: string;
}

export interface WordPress {
  /** Asks for a page with the cookies that were set before; a form makes it a POST, `content` one of another type. */
  get(path: string): Promise<Page>;
  submit(path: string, form: Readonly<Record<string, string>>): Promise<Page>;
  /** Walks through the web installer, if WordPress asks for that. Throws with what the page said. */
  install(title: string): Promise<'installed' | 'was installed'>;
  logIn(): Promise<void>;
  /** Publishes a post through the REST API, as the editor in the browser does, and gives its address. */
  publish(title: string, paragraph: string): Promise<string>;
  /** Uploads a picture to the media library and gives its address. */
  upload(name: string, type: string, content: Buffer): Promise<string>;
}

const user = 'admin';

const textOf = (html: string): string =>
  html
    .replace(/<(style|script)[\s\S]*?<\/\1>/g, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 400);

const must = (page: Page, isRight: boolean, what: string): Page => {
  if (!isRight) throw new Error(`WordPress: ${what}: status ${page.status}: ${textOf(page.body)}`);
  return page;
};

/** A browser of its own on the host, that finds the domain on loopback and trusts whom the host trusts. */
export const wordPressOn = (host: TestHost, domain: string): WordPress => {
  const origin = `https://${domain}`;
  const secret = `/root/${domain}.password`;
  const jar = `/root/${domain}.cookies`;

  const ask = async (path: string, more: readonly string[], content?: Buffer): Promise<Page> => {
    const argv = ['curl', '-sS', '-m', '60', '--resolve', `${domain}:443:127.0.0.1`, '-b', jar, '-c', jar];
    argv.push('-w', '\n%{http_code} %{redirect_url}', ...more, `${origin}${path}`);
    const { stdout, stderr } = await host.run(argv, { allowFail: true, input: content });
    const [, body = '', status = '0', location = ''] = /^([\s\S]*)\n(\d+) (.*)$/.exec(stdout) ?? [];
    return { status: Number(status), body: status === '000' ? stderr : body, location };
  };
  const get = (path: string): Promise<Page> => ask(path, []);
  const submit: WordPress['submit'] = (path, form) =>
    ask(
      path,
      Object.entries(form).flatMap(([name, value]) => ['--data-urlencode', `${name}=${value}`]),
    );

  const password = async (): Promise<string> => {
    const script = 'umask 077; [ -s "$1" ] || printf %s "$2" >"$1"; cat "$1"';
    return (await host.run(['sh', '-euc', script, 'password', secret, newPassword()])).stdout;
  };

  /** The API takes cookies only together with a number that pages of the dashboard carry. */
  const api = async (route: string, type: string, content: Buffer, more: readonly string[] = []): Promise<Page> => {
    const nonce = await get('/wp-admin/admin-ajax.php?action=rest-nonce');
    must(nonce, nonce.status === 200 && /^[0-9a-f]{10}$/.test(nonce.body), 'no nonce: is somebody logged in?');
    const headers = ['-H', `X-WP-Nonce: ${nonce.body}`, '-H', `Content-Type: ${type}`, ...more];
    const page = await ask(`/index.php?rest_route=${route}`, [...headers, '--data-binary', '@-'], content);
    return must(page, page.status === 201, `${route} was not created`);
  };

  return {
    get,
    submit,
    install: async (title) => {
      const front = await get('/');
      if (front.status === 200) return 'was installed';
      must(front, front.location.endsWith('/wp-admin/install.php'), 'neither a front page nor the installer');
      const first = await get('/wp-admin/install.php');
      must(first, first.status === 200 && first.body.includes('weblog_title'), 'the installer has no form');
      const secret = await password();
      const done = await submit('/wp-admin/install.php?step=2', {
        weblog_title: title,
        user_name: user,
        admin_password: secret,
        admin_password2: secret,
        admin_email: `${user}@${domain}`,
        blog_public: '0',
        language: '',
      });
      must(done, done.status === 200 && done.body.includes('<h1>Success!</h1>'), 'the installer did not succeed');
      const installed = await get('/');
      must(installed, installed.status === 200, 'no front page after the installer');
      return 'installed';
    },
    logIn: async () => {
      await get('/wp-login.php'); // sets the cookie that proves that cookies work
      const page = await submit('/wp-login.php', { log: user, pwd: await password(), testcookie: '1' });
      must(page, page.status === 302 && page.location === `${origin}/wp-admin/`, 'login refused');
    },
    publish: async (title, paragraph) => {
      const content = `<!-- wp:paragraph --><p>${paragraph}</p><!-- /wp:paragraph -->`;
      const post = Buffer.from(JSON.stringify({ title, content, status: 'publish' }));
      return (JSON.parse((await api('/wp/v2/posts', 'application/json', post)).body) as { link: string }).link;
    },
    upload: async (name, type, content) => {
      const more = ['-H', `Content-Disposition: attachment; filename="${name}"`];
      const page = await api('/wp/v2/media', type, content, more);
      return (JSON.parse(page.body) as { source_url: string }).source_url;
    },
  };
};

/** The blog of the demo: installed and with a post, in whatever state an earlier demo left it. */
export const writeBlog = async (host: TestHost): Promise<void> => {
  const wordpress = wordPressOn(host, 'blog.example.org');
  await wordpress.install('The fleet');
  const title = 'Asleep until you came';
  if ((await wordpress.get('/')).body.includes(title)) return;
  await wordpress.logIn();
  await wordpress.publish(title, 'Nobody had asked for this page, so its container was not running.');
  const front = await wordpress.get('/');
  if (!front.body.includes(title)) throw new Error('WordPress took the post and does not show it');
};
