// Asks sites again and again until its standard input ends, whatever they answer.
//   { hosts, clients, pauseMs, path }
// A line of JSON on stdout whenever the status of a site is another than before, and a last one with `sites`.
import { request } from 'node:http';

const { hosts, clients = 2, pauseMs = 20, path = '/' } = JSON.parse(process.argv[2]);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const ask = (host) =>
  new Promise((resolve) => {
    const headers = { host, connection: 'close' };
    const outgoing = request({ host: '127.0.0.1', path, headers, agent: false }, (response) => {
      response.resume();
      response.once('error', () => resolve({ status: 0 }));
      response.once('end', () => resolve({ status: response.statusCode, retry: response.headers['retry-after'] }));
    });
    outgoing.setTimeout(60_000, () => outgoing.destroy(new Error('silent for 60 s')));
    outgoing.once('error', () => resolve({ status: 0 }));
    outgoing.end();
  });

let ending = false;
process.stdin.resume();
process.stdin.once('end', () => (ending = true));

const sites = new Map(
  hosts.map((host) => [host, { last: null, statuses: {}, slowestMs: {}, times: [], noRetryAfter: 0 }]),
);
const client = async (host) => {
  const site = sites.get(host);
  while (!ending) {
    const began = performance.now();
    const { status, retry } = await ask(host);
    const ms = performance.now() - began;
    site.statuses[status] = (site.statuses[status] ?? 0) + 1;
    site.slowestMs[status] = Math.round(Math.max(site.slowestMs[status] ?? 0, ms));
    site.times.push(ms);
    if (status === 503 && !(Number(retry) > 0)) site.noRetryAfter++;
    if (site.last !== status) console.log(JSON.stringify({ host, status, at: Date.now() }));
    site.last = status;
    await pause(pauseMs);
  }
};
await Promise.all(hosts.flatMap((host) => Array.from({ length: clients }, () => client(host))));
const quantile = (times, part) => Math.round(times.sort((a, b) => a - b)[Math.floor(times.length * part)] ?? 0);
const summary = [...sites].map(([host, { statuses, slowestMs, times, noRetryAfter }]) => ({
  host,
  statuses,
  slowestMs,
  noRetryAfter,
  medianMs: quantile(times, 0.5),
  p95Ms: quantile(times, 0.95),
}));
console.log(JSON.stringify({ sites: summary }));
