/** The stops of the tour, in the words of their commands. Nothing here is shown that a host did not say. */

export interface Outcome {
  readonly code: number;
  /** Lines, with their colours. */
  readonly shown: readonly string[];
  /** The same without colours. */
  readonly text: string;
}

export interface Command {
  readonly type: string;
  /** What is wrong with the outcome, or null. */
  expect(outcome: Outcome): string | null;
  /** More lines than these are only counted. */
  readonly lines?: number;
  readonly pauseMs?: number;
  /** Whose journal may tell why it went wrong. */
  readonly unit?: string;
}

export interface Stop {
  readonly title: string;
  readonly say: string;
  readonly commands: readonly Command[];
}

const expecting =
  (code: number, ...patterns: readonly RegExp[]): Command['expect'] =>
  (outcome) => {
    if (outcome.code !== code) return `ended with ${outcome.code}, expected ${code}`;
    const missing = patterns.find((pattern) => !pattern.test(outcome.text));
    return missing === undefined ? null : `nothing in its output matches ${String(missing)}`;
  };

const app = 'app.example.org';
const blog = 'blog.example.org';
const picture = `https://${blog}/wp-includes/images/w-logo-blue.png`;

/** A request of which only the answer's status and time matter. */
const ask = (url: string, status: number, unit: string): Command => ({
  type: `curl -so /dev/null -w '%{http_code} in %{time_total} s\\n' ${url}`,
  expect: expecting(0, new RegExp(`^${status} in `)),
  unit,
});

const openApp: Command = {
  type: `curl -sw 'in %{time_total} s\\n' https://${app}/`,
  expect: expecting(0, /Hello from/),
  unit: app,
};

const sleep = (site: string): Command => ({
  type: `appfleet sleep ${site}`,
  expect: expecting(0, /is asleep/),
  // Nobody types so fast after a request that its connection is still there.
  pauseMs: 500,
  unit: site,
});

const siteFile = `/etc/appfleet/sites/${app}.ini`;

export const stops: readonly Stop[] = [
  {
    title: 'A site is a file',
    say: 'Its name is the domain. The agent makes units, a vhost and a container of it.',
    commands: [
      { type: `cat ${siteFile}`, expect: expecting(0, /runtime/) },
      {
        type: 'appfleet status',
        expect: expecting(
          0,
          /app\.example\.org +○ asleep/,
          /blog\.example\.org +● awake/,
          /www\.example\.org +● served/,
        ),
      },
    ],
  },
  {
    title: 'Its certificate comes by itself',
    say: 'Saving the file was enough. Pebble, a CA for tests, signs here, and the host trusts it.',
    commands: [
      {
        type: `journalctl -u appfleet-renew -o cat | grep ': new certificate'`,
        expect: expecting(0, /^app\.example\.org: /m, /^blog\.example\.org: /m, /^www\.example\.org: /m),
        unit: 'appfleet-renew',
      },
      {
        type: 'appfleet cert list',
        expect: expecting(0, /^app\.example\.org .*Pebble/m, /^blog\.example\.org .*Pebble/m),
        unit: 'appfleet-renew',
      },
      {
        type: `curl -so /dev/null -w '%{http_code} %{redirect_url}\\n' http://${app}/`,
        expect: expecting(0, /^301 https:\/\/app\.example\.org\/$/),
        unit: 'nginx',
      },
    ],
  },
  {
    title: 'A request wakes a site',
    say: `${app} has no process. The first request starts one and waits for it.`,
    commands: [openApp, openApp],
  },
  {
    title: 'WordPress sleeps as well',
    say: 'PHP-FPM and MariaDB in containers. Installed, and its post written, over HTTPS.',
    commands: [
      {
        type: `curl -s https://${blog}/ | grep -oP 'target="_self" >\\K[^<]+'`,
        expect: expecting(0, /Asleep until you came/),
        unit: blog,
      },
      sleep(blog),
      ask(`https://${blog}/`, 200, blog),
      ask(`https://${blog}/`, 200, blog),
    ],
  },
  {
    title: 'Pictures and stylesheets wake nobody',
    say: 'nginx serves the files of a PHP site by itself.',
    commands: [
      sleep(blog),
      ask(picture, 200, 'nginx'),
      { type: 'appfleet status | grep blog', expect: expecting(0, /○ asleep/) },
    ],
  },
  {
    title: 'Renewed in its sleep',
    say: 'nginx answers the CA. Nobody has to ask: it comes when it is due.',
    commands: [
      { type: `appfleet cert issue ${blog}`, expect: expecting(0, /new certificate for/), unit: 'appfleet' },
      { type: 'appfleet status | grep blog', expect: expecting(0, /○ asleep/) },
      {
        type: `curl -svo /dev/null ${picture} 2>&1 | grep -E 'start date|verify ok'`,
        expect: expecting(0, /start date/, /verify ok/),
        unit: 'nginx',
      },
    ],
  },
  {
    title: 'Sleep and wake by hand',
    say: 'Nobody has to: ten idle minutes and a request do the same.',
    commands: [sleep(app), { type: `appfleet wake ${app}`, expect: expecting(0, /is awake/), unit: app }],
  },
  {
    title: 'Stopped means stopped',
    say: 'No request wakes it now; visitors read that it will be back.',
    commands: [
      { type: `service ${app} stop`, expect: expecting(0), unit: app },
      {
        type: `curl -sI https://${app}/`,
        expect: expecting(0, /^HTTP\/2 503\b/, /^retry-after: \d+$/m),
        unit: 'nginx',
      },
      { type: `service ${app} start`, expect: expecting(0), unit: app },
      ask(`https://${app}/`, 200, app),
    ],
  },
  {
    title: 'Its journal',
    say: 'What the unit did, and what the program in the container printed.',
    commands: [{ type: `journalctl -u ${app} -n 8 --no-pager`, expect: expecting(0, /listening, pid/), unit: app }],
  },
  {
    title: 'A mistake hurts nobody',
    say: 'A file that cannot be understood changes nothing: its site keeps what it had.',
    commands: [
      { type: `sed -i 's/^idle .*/idel = ten minutes/' ${siteFile}`, expect: expecting(0) },
      { type: 'appfleet check', expect: expecting(2, /idel/, /idle/) },
      {
        type: `curl -so /dev/null -w '%{http_code} %{url}\\n' 'https://{app,blog,www}.example.org/'`,
        expect: expecting(0, /^200 \S*app\S*\n200 \S*blog\S*\n200 \S*www\S*$/),
        pauseMs: 1500,
      },
      { type: `sed -i 's/^idel .*/idle = 10m/' ${siteFile}`, expect: expecting(0) },
      { type: 'appfleet check', expect: expecting(0, /no problems/) },
    ],
  },
  {
    title: 'When something is wrong',
    say: 'From the file to the answer: which link is broken? Here, none.',
    commands: [{ type: 'appfleet doctor', expect: expecting(0, /all well/), lines: 30 }],
  },
];
