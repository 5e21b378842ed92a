/** How soon Consul knows what happens on this host; the part mirror.ts says when each step is taken. */
import { execFileSync } from 'node:child_process';
import { request } from 'node:http';
import { writeFileSync } from 'node:fs';
import { pause } from './http.ts';
import { program } from './report.ts';

export type MirrorInput =
  /** Writes the settings, and takes the seconds until all of so many members are in Consul. */
  | { step: 'fill'; count: number; settings: string; host: string }
  /** Stops and starts a site so many times: the milliseconds from the end of the command until the catalog has it. */
  | { step: 'change'; site: string; samples: number };

const get = (path: string): Promise<{ index: string; body: string }> =>
  new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port: 8500, path: `/v1${path}` }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text: string) => (body += text));
      answer.once('end', () => resolve({ index: String(answer.headers['x-consul-index']), body }));
    })
      .once('error', reject)
      .end();
  });

const fill = async (count: number, settings: string, host: string): Promise<number> => {
  writeFileSync('/etc/appfleet/appfleet.ini', settings);
  const began = performance.now();
  const isFull = async (): Promise<boolean> => {
    const services = JSON.parse((await get('/catalog/services')).body) as Record<string, string[]>;
    if (Object.keys(services).length < count) return false;
    const keys = await get(`/kv/appfleet/hosts/${host}/?keys`);
    return keys.body.startsWith('[') && (JSON.parse(keys.body) as string[]).length >= count;
  };
  while (!(await isFull())) {
    if (performance.now() - began > 120_000) throw new Error('Consul has not all of it after 120 s');
    await pause(100);
  }
  return (performance.now() - began) / 1000;
};

const change = async (site: string, samples: number): Promise<number[]> => {
  const path = `/catalog/service/${site.replaceAll('.', '-')}`;
  const times: number[] = [];
  for (let round = 0; round < samples; round++) {
    const stop = round % 2 === 0;
    execFileSync('systemctl', [stop ? 'stop' : 'start', site]);
    const began = performance.now();
    const wanted = `"state":"${stop ? 'stopped' : 'served'}"`;
    for (let answer = await get(path); !answer.body.replaceAll(': ', ':').includes(wanted);)
      answer = await get(`${path}?wait=10s&index=${answer.index}`);
    times.push(performance.now() - began);
    await pause(300);
  }
  return times;
};

program((input: MirrorInput): Promise<number | number[]> =>
  input.step === 'fill' ? fill(input.count, input.settings, input.host) : change(input.site, input.samples),
);
