// A plain web application with something of everything that a proxy in front of it may get wrong.
const http = require('node:http');
const crypto = require('node:crypto');
const os = require('node:os');
const websocket = require('./websocket.js');

const file = Buffer.alloc(1024 * 1024, 'The quick brown fox jumps over the lazy dog.\n');

const routes = {
  '/': (req, res) => {
    res.setHeader('content-type', 'text/html; charset=utf-8');
    res.end(`<!doctype html><title>Hello</title><h1>Hello from ${os.hostname()}</h1><p>pid ${process.pid}</p>\n`);
  },

  // /slow?ms=2000 answers after two seconds
  '/slow': (req, res, query) => {
    const ms = Number(query.get('ms') ?? 1000);
    setTimeout(() => res.end(`waited ${ms} ms\n`), ms);
  },

  // What arrived, by length and hash
  '/echo': (req, res) => {
    const hash = crypto.createHash('sha256');
    let length = 0;
    req.on('data', (chunk) => {
      length += chunk.length;
      hash.update(chunk);
    });
    req.on('end', () => json(res, { method: req.method, length, sha256: hash.digest('hex') }));
  },

  // Server-sent events without end
  '/sse': (req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    let count = 0;
    const send = () => res.write(`id: ${++count}\ndata: ${JSON.stringify({ count, pid: process.pid })}\n\n`);
    send();
    const timer = setInterval(send, 300);
    res.on('close', () => clearInterval(timer));
  },

  '/headers': (req, res) => json(res, req.headers),

  // /env?name=PORT
  '/env': (req, res, query) => json(res, { value: process.env[query.get('name')] ?? null }),

  // /exit?code=1 answers, then ends the process
  '/exit': (req, res, query) => {
    res.end('bye\n', () => process.exit(Number(query.get('code') ?? 0)));
  },

  // Takes memory until somebody ends it
  '/eat': (req, res) => {
    const eaten = [];
    res.write('eating\n');
    setInterval(() => {
      eaten.push(Buffer.alloc(16 * 1024 * 1024, 1));
      console.log(`ate ${eaten.length * 16} MB`);
    }, 20);
  },

  // One MB, whole or in parts
  '/file': (req, res) => {
    res.setHeader('accept-ranges', 'bytes');
    res.setHeader('content-type', 'text/plain');
    const range = /^bytes=(\d*)-(\d*)$/.exec(req.headers.range ?? '');
    if (!range || (range[1] === '' && range[2] === '')) return send(res, 200, file);
    const start = range[1] === '' ? Math.max(file.length - Number(range[2]), 0) : Number(range[1]);
    const end = range[1] === '' || range[2] === '' ? file.length - 1 : Math.min(Number(range[2]), file.length - 1);
    if (start > end) {
      res.setHeader('content-range', `bytes */${file.length}`);
      return send(res, 416, Buffer.alloc(0));
    }
    res.setHeader('content-range', `bytes ${start}-${end}/${file.length}`);
    return send(res, 206, file.subarray(start, end + 1));
  },
};

function json(res, value) {
  res.setHeader('content-type', 'application/json');
  res.end(`${JSON.stringify(value)}\n`);
}

function send(res, status, body) {
  res.writeHead(status, { 'content-length': body.length });
  res.end(body);
}

const server = http.createServer((req, res) => {
  const url = new URL(req.url, 'http://localhost');
  const route = routes[url.pathname];
  if (route) return route(req, res, url.searchParams);
  res.statusCode = 404;
  return res.end(`nothing at ${url.pathname}\n`);
});

server.on('upgrade', (req, socket) => {
  if (req.url.split('?')[0] === '/ws') websocket.echo(req, socket);
  else socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
});

server.listen(process.env.PORT || 3000, () => console.log(`listening, pid ${process.pid}`));
