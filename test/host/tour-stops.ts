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

/** A request of which only the answer's status and time matter. */
const ask = (url: string, status: number, unit: string): Command => ({
  type: `curl -so /dev/null -w '%{http_code} in %{time_total} s\\n' ${url}`,
  expect: expecting(0, new RegExp(`^${status} in `)),
  unit,
});

const openApp: Command = {
  type: `curl -sw 'in %{time_total} s\\n' http://${app}/`,
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
    title: 'A request wakes a site',
    say: `${app} has no process. The first request starts one and waits for it.`,
    commands: [openApp, openApp],
  },
  {
    title: 'WordPress sleeps as well',
    say: 'PHP-FPM and MariaDB in containers. Installed, and its post written, over HTTP.',
    commands: [
      {
        type: `curl -s http://${blog}/ | grep -oP 'target="_self" >\\K[^<]+'`,
        expect: expecting(0, /Asleep until you came/),
        unit: blog,
      },
      sleep(blog),
      ask(`http://${blog}/`, 200, blog),
      ask(`http://${blog}/`, 200, blog),
    ],
  },
  {
    title: 'Pictures and stylesheets wake nobody',
    say: 'nginx serves the files of a PHP site by itself.',
    commands: [
      sleep(blog),
      ask(`http://${blog}/wp-includes/images/w-logo-blue.png`, 200, 'nginx'),
      { type: 'appfleet status | grep blog', expect: expecting(0, /○ asleep/) },
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
        type: `curl -sI http://${app}/`,
        expect: expecting(0, /^HTTP\/1\.1 503 /, /^Retry-After: \d+$/m),
        unit: 'nginx',
      },
      { type: `service ${app} start`, expect: expecting(0), unit: app },
      ask(`http://${app}/`, 200, app),
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
        type: `curl -so /dev/null -w '%{http_code} %{url}\\n' 'http://{app,blog,www}.example.org/'`,
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
