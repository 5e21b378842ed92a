/** What tests and benchmarks do on a test host, in a few words: put a site there, ask for it, look at its state. */
import { attachHost, bootHost } from './boot.ts';
import { provision } from './provision.ts';
import type { Release } from './release.ts';
import type { TestHost } from './test-host.ts';
import type { Log } from './tools.ts';
import { buildImages } from '../images/build.ts';

export interface Answer {
  /** 0 when there was no answer at all. */
  status: number;
  body: string;
  headers: Record<string, string>;
  seconds: number;
}

export interface AskOptions {
  method?: string;
  body?: string;
  headers?: Record<string, string>;
  timeoutSeconds?: number;
  /** Over HTTPS, where the host itself trusts the certificate. */
  secure?: boolean;
}

export interface FleetHost {
  host: TestHost;
  /** Writes a site file; `key = value` lines below [site], or a whole file when it begins with `[`. */
  putSite(domain: string, text: string): Promise<void>;
  putService(name: string, text: string): Promise<void>;
  removeSite(domain: string): Promise<void>;
  /** Has the agent (or, without one, this command) make a pass; the output and exit code of `appfleet apply`. */
  apply(): Promise<{ code: number; stdout: string; stderr: string }>;
  /** One request from inside the host through nginx on loopback. */
  ask(domain: string, path?: string, options?: AskOptions): Promise<Answer>;
  /** ActiveState of a unit. */
  unit(name: string): Promise<string>;
  /** What `appfleet status NAME --json` says. */
  status(domain: string): Promise<Record<string, unknown>>;
  /** Waits until the state is as asked, or throws with what it is. */
  waitState(domain: string, state: string, seconds?: number): Promise<void>;
}

const fail = (what: string): never => {
  throw new Error(what);
};

const headersOf = (text: string): Record<string, string> =>
  Object.fromEntries(
    text.split('\r\n').flatMap((line) => {
      const colon = line.indexOf(':');
      return colon < 0 ? [] : [[line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]];
    }),
  );

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

export const fleetOn = (host: TestHost): FleetHost => {
  const whole = (section: string, text: string): string =>
    text.trimStart().startsWith('[') ? text : `[${section}]\n${text}\n`;
  const status = async (domain: string): Promise<Record<string, unknown>> => {
    const { stdout, stderr } = await host.run(['appfleet', 'status', domain, '--json'], { allowFail: true });
    return stdout === ''
      ? fail(`appfleet status ${domain}: ${stderr}`)
      : (JSON.parse(stdout) as Record<string, unknown>);
  };
  return {
    host,
    putSite: (domain, text) => host.write(`/etc/appfleet/sites/${domain}.ini`, whole('site', text)),
    putService: (name, text) => host.write(`/etc/appfleet/services/${name}.ini`, whole('service', text)),
    removeSite: async (domain) => {
      await host.run(['rm', '-f', `/etc/appfleet/sites/${domain}.ini`]);
    },
    apply: () => host.run(['appfleet', 'apply'], { allowFail: true, timeoutMs: 300_000 }),
    ask: async (
      domain,
      path = '/',
      { method = 'GET', body, headers = {}, timeoutSeconds = 120, secure = false } = {},
    ) => {
      const argv = ['curl', '-sS', '-i', '-m', String(timeoutSeconds), '-H', `Host: ${domain}`, '-H', 'Expect:'];
      argv.push('-w', '\n%{http_code} %{time_total}', ...(method === 'HEAD' ? ['-I'] : ['-X', method]));
      for (const [name, value] of Object.entries(headers)) argv.push('-H', `${name}: ${value}`);
      if (body !== undefined) argv.push('--data-binary', '@-');
      if (secure) argv.push('--resolve', `${domain}:443:127.0.0.1`, `https://${domain}${path}`);
      else argv.push(`http://127.0.0.1${path}`);
      const { stdout, stderr } = await host.run(argv, {
        allowFail: true,
        input: body ?? '',
        timeoutMs: timeoutSeconds * 1500,
      });
      const [, text = '', code = '0', seconds = '0'] = /^([\s\S]*)\n(\d+) ([\d.]+)$/.exec(stdout) ?? [];
      const split = text.indexOf('\r\n\r\n');
      if (code === '000' || split < 0) return { status: 0, body: stderr, headers: {}, seconds: Number(seconds) };
      return {
        status: Number(code),
        headers: headersOf(text.slice(0, split)),
        body: text.slice(split + 4),
        seconds: Number(seconds),
      };
    },
    unit: async (name) =>
      (await host.run(['systemctl', 'show', '-P', 'ActiveState', name], { allowFail: true })).stdout.trim(),
    status,
    waitState: async (domain, state, seconds = 20) => {
      const end = performance.now() + seconds * 1000;
      let now = '';
      while (performance.now() < end) {
        now = String((await status(domain))['state']);
        if (now === state) return;
        await pause(50);
      }
      fail(`${domain} is ${now}, not ${state}, after ${seconds} s`);
    },
  };
};

/** What hosts for tests go by: nobody outside of them is asked for certificates. */
export const settingsFile = '/etc/appfleet/appfleet.ini';
export const testSettings = '[appfleet]\nacme_directory = none\n';

/** A host with the product on it, provisioned by the playbook, with the images that tests use. */
export const productHost = async (name: string, release: Release, log: Log, keep = false): Promise<TestHost> => {
  const running = attachHost(name);
  if (running) return running;
  const host = await bootHost({ name, release, log, keep });
  await buildImages(host, undefined, log);
  await host.write(settingsFile, testSettings);
  await provision(host, log);
  return host;
};
