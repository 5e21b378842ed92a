// Visits sites over TLS again and again for so many seconds, each time on a new connection.
//   { names, caFile, seconds, clients }
// A line of JSON at the end: { requests, failures, seen }; `seen`: by name, when each serial number was first met (seconds since the epoch).
import { readFileSync } from 'node:fs';
import { request } from 'node:https';

const { names, caFile, seconds, clients = 4 } = JSON.parse(process.argv[2]);
const ca = readFileSync(caFile);
const seen = Object.fromEntries(names.map((name) => [name, {}]));
const failures = [];
let requests = 0;
const end = performance.now() + seconds * 1000;

const visit = (name) =>
  new Promise((resolve) => {
    const at = Date.now() / 1000;
    const fail = (why) => {
      if (failures.length < 20) failures.push(`${new Date().toISOString()} ${name}: ${why}`);
      resolve();
    };
    const outgoing = request({
      host: '127.0.0.1',
      port: 443,
      servername: name,
      headers: { host: name },
      ca,
      agent: false,
    });
    outgoing.on('response', (response) => {
      const { serialNumber } = response.socket.getPeerCertificate();
      seen[name][serialNumber] ??= at;
      response.resume();
      response.on('error', (error) => fail(error.message));
      response.on('end', () => (response.statusCode === 200 ? resolve() : fail(`status ${response.statusCode}`)));
    });
    outgoing.setTimeout(30_000, () => outgoing.destroy(new Error('silent for 30 s')));
    outgoing.on('error', (error) => fail(error.message));
    outgoing.end();
  });

const lane = async (first) => {
  for (let nth = first; performance.now() < end; nth += clients) {
    await visit(names[nth % names.length]);
    requests += 1;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};
await Promise.all(Array.from({ length: clients }, (_, nth) => lane(nth)));
process.stdout.write(`${JSON.stringify({ requests, failures, seen })}\n`);
