// Sends GET and POST requests to sites through nginx until its standard input ends, and checks every answer by sha256.
//   { targets: [{ host, gets: [{ path, sha256 }], post, largest }], clients, pauseMs, lullMs, seed }
// `post` is a path that answers { length, sha256 } of what it was sent; null where nothing takes a POST.
// With `lullMs` each site in turn is left alone for so long. One line of JSON on stdout for each failure as it happens, and one with `requests` at the end. Each request has a connection
// of its own: nginx may close an idle one in the moment in which a client writes to it, and that would tell nothing of us.
import { createHash } from 'node:crypto';
import { request } from 'node:http';

const { targets, clients = 4, pauseMs = 20, lullMs = 0, seed = 1, timeoutMs = 60_000 } = JSON.parse(process.argv[2]);

// mulberry32
let state = seed >>> 0;
const random = () => {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const below = (limit) => Math.floor(random() * limit);
const sha = (body) => createHash('sha256').update(body).digest('hex');

const material = Buffer.alloc(8 * 1024 * 1024);
for (let i = 0; i < material.length; i++) material[i] = (i * 2654435761 + (i >> 9)) & 255;

const send = (host, path, method, body) =>
  new Promise((resolve) => {
    const headers = { host, connection: 'close', ...(body === undefined ? {} : { 'content-length': body.length }) };
    const outgoing = request({ host: '127.0.0.1', path, method, headers, agent: false }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.once('error', (error) =>
        resolve({ error: `after ${Buffer.concat(parts).length} bytes: ${error.message}` }),
      );
      response.once('end', () => resolve({ status: response.statusCode, body: Buffer.concat(parts) }));
    });
    outgoing.setTimeout(timeoutMs, () => outgoing.destroy(new Error(`silent for ${timeoutMs} ms`)));
    outgoing.once('error', (error) => resolve({ error: error.message }));
    outgoing.end(body);
  });

const counts = new Map(
  targets.map(({ host }) => [host, { requests: 0, failures: 0, slowest: 0, total: 0, times: [] }]),
);
const wrongWith = ({ error, status, body }, expected, isPost) => {
  if (error !== undefined) return error;
  if (status !== 200)
    return `status ${status}: ${/<h1>.*?<\/h1>/.exec(body.toString())?.[0] ?? body.toString().slice(0, 200)}`;
  if (!isPost) return sha(body) === expected ? null : `another body of ${body.length} bytes`;
  try {
    const echo = JSON.parse(body.toString());
    return echo.sha256 === expected ? null : `the program received ${echo.length} other bytes`;
  } catch {
    return `not JSON: ${body.toString('latin1').slice(0, 300)}`;
  }
};

const started = Date.now();
const isLeftAlone = (index) => lullMs > 0 && Math.floor((Date.now() - started) / lullMs) % targets.length === index;

const one = async () => {
  const index = below(targets.length);
  if (isLeftAlone(index)) return;
  const { host, gets, post = null, largest = 262_144 } = targets[index];
  const isPost = post !== null && random() < 0.5;
  // Most bodies are small, a few are as large as they get.
  const length = isPost ? Math.floor(largest * random() ** 4) : 0;
  const start = below(material.length - length);
  const body = isPost ? material.subarray(start, start + length) : undefined;
  const get = gets[below(gets.length)];
  const path = isPost ? post : get.path;
  const expected = isPost ? sha(body) : get.sha256;
  const from = Date.now();
  const began = performance.now();
  const answer = await send(host, path, isPost ? 'POST' : 'GET', body);
  const ms = performance.now() - began;
  const count = counts.get(host);
  count.requests++;
  count.total += ms;
  count.slowest = Math.max(count.slowest, ms);
  count.times.push(ms);
  const wrong = wrongWith(answer, expected, isPost);
  if (wrong === null) return;
  count.failures++;
  const failure = { host, method: isPost ? 'POST' : 'GET', path, bytes: length, from, to: Date.now(), wrong };
  console.log(JSON.stringify({ failure }));
};

let ending = false;
process.stdin.resume();
process.stdin.once('end', () => (ending = true));
const client = async () => {
  while (!ending) {
    await one();
    await new Promise((resolve) => setTimeout(resolve, below(2 * pauseMs)));
  }
};
await Promise.all(Array.from({ length: clients }, client));
const quantile = (times, part) => Math.round(times.sort((a, b) => a - b)[Math.floor(times.length * part)] ?? 0);
const result = [...counts].map(([host, { requests, failures, slowest, times }]) => ({
  host,
  requests,
  failures,
  medianMs: quantile(times, 0.5),
  p95Ms: quantile(times, 0.95),
  slowestMs: Math.round(slowest),
}));
console.log(JSON.stringify({ sites: result }));
