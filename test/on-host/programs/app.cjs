// A site for tests, on the number in PORT: says what arrived, byte for byte, and answers in every way that a proxy may get wrong.
const crypto = require('node:crypto');
const http = require('node:http');
const websocket = require('/app/websocket.js'); // of the image demo/node-app

const file = Buffer.alloc(1024 * 1024, 'The quick brown fox jumps over the lazy dog.\n');
const version = process.env.VERSION ?? '';

const json = (res, value) => {
  res.setHeader('content-type', 'application/json');
  res.end(JSON.stringify({ version, pid: process.pid, ...value }));
};

const routes = {
  // The request line and the headers as they came.
  '/raw': (req, res) => json(res, { method: req.method, url: req.url, raw: req.rawHeaders, headers: req.headers }),

  '/echo': (req, res) => {
    const hash = crypto.createHash('sha256');
    let length = 0;
    req.on('data', (chunk) => {
      length += chunk.length;
      hash.update(chunk);
    });
    req.on('end', () => json(res, { method: req.method, length, sha256: hash.digest('hex') }));
  },

  '/slow': (req, res, query) => {
    setTimeout(() => res.end('late\n'), Number(query.get('ms')));
  },

  // Events that carry the time at which they were sent.
  '/events': (req, res, query) => {
    res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    let left = Number(query.get('count'));
    const send = () => {
      res.write(`data: ${Date.now()}\n\n`);
      if (--left > 0) setTimeout(send, Number(query.get('ms')));
      else res.end();
    };
    send();
  },

  '/text': (req, res) => {
    res.setHeader('content-type', 'text/plain');
    res.end(file.subarray(0, 20000));
  },

  '/file': (req, res) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(req.headers.range ?? '') ?? [];
    const part = from === undefined ? file : file.subarray(Number(from), Number(to) + 1);
    const range = from === undefined ? {} : { 'content-range': `bytes ${from}-${to}/${file.length}` };
    res.writeHead(from === undefined ? 200 : 206, {
      ...range,
      'content-type': 'application/octet-stream',
      'content-length': part.length,
    });
    res.end(part);
  },

  '/exit': (req, res, query) => {
    res.end('bye\n', () => process.exit(Number(query.get('code'))));
  },

  '/eat': () => {
    const eaten = [];
    setInterval(() => eaten.push(Buffer.alloc(16 * 1024 * 1024, 1)), 5);
  },
};

const server = http.createServer({ requestTimeout: 0 }, (req, res) => {
  const [path, query] = req.url.split('?');
  const route = routes[path] ?? routes['/raw'];
  return route(req, res, new URLSearchParams(query));
});
server.on('upgrade', websocket.echo);

// START_AFTER=/path: not before this exists. START_MS=500: takes so long to start. EAT=150: takes so many MB first.
// DEAF=1: does not end when it is asked to.
// STARTS=/path: adds a line with the time when it begins to start (1) and when it is ready (-1).
const fs = require('node:fs');
const { START_AFTER, START_MS = 0, EAT = 0, STARTS, DEAF } = process.env;
if (DEAF !== undefined) process.on('SIGTERM', () => undefined);
const mark = (step) => STARTS === undefined || fs.appendFileSync(STARTS, `${Date.now()} ${step}\n`);
const eaten = Array.from({ length: Number(EAT) }, () => Buffer.alloc(1024 * 1024, 1));
const begin = () => {
  if (START_AFTER !== undefined && !fs.existsSync(START_AFTER)) return setTimeout(begin, 50);
  return server.listen(process.env.PORT, () => mark(-1));
};
mark(1);
setTimeout(begin, Number(START_MS), eaten);
