// One HTTP request to nginx on this host, described by the JSON in the first argument; what came back is JSON on stdout.
//   { host, path, method, headers, bytes, chunked, form, timeoutMs }
// `bytes` is the length of a body that is made up here; with `form` it is the file in a form. The answer's text is given whole up to 64 KiB; `parts` says when which
// of its parts arrived.
import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const asked = JSON.parse(process.argv[2]);
const { host, path = '/', method = 'GET', headers = {}, bytes = 0, chunked = false, form = false } = asked;
const { timeoutMs = 120_000 } = asked;

const block = Buffer.alloc(65536);
for (let i = 0; i < block.length; i++) block[i] = (i * 31 + (i >> 8) * 7 + bytes) & 255;
const sent = createHash('sha256');
const boundary = 'between-the-parts-of-a-form';
const disposition = 'Content-Disposition: form-data; name="file"; filename="big.bin"';
const head = form ? `--${boundary}\r\n${disposition}\r\nContent-Type: application/octet-stream\r\n\r\n` : '';
const tail = form ? `\r\n--${boundary}--\r\n` : '';
const body = function* () {
  if (form) yield Buffer.from(head);
  for (let left = bytes; left > 0; left -= block.length) {
    const part = left < block.length ? block.subarray(0, left) : block;
    sent.update(part);
    yield part;
  }
  if (form) yield Buffer.from(tail);
};

const began = performance.now();
const since = () => Math.round(performance.now() - began);
const finish = (answer) => {
  console.log(JSON.stringify({ status: 0, headers: {}, text: '', length: 0, parts: [], ms: since(), ...answer }));
  process.exit(0);
};
setTimeout(() => finish({ error: `no end after ${timeoutMs} ms` }), timeoutMs);

const length = bytes > 0 && !chunked ? { 'content-length': head.length + bytes + tail.length } : {};
if (form) length['content-type'] = `multipart/form-data; boundary=${boundary}`;
const outgoing = request({ host: '127.0.0.1', path, method, headers: { host, ...length, ...headers }, agent: false });
outgoing.once('response', (response) => {
  const received = createHash('sha256');
  const parts = [];
  let text = '';
  let size = 0;
  response.on('data', (part) => {
    received.update(part);
    size += part.length;
    if (text.length < 65536) text += part.toString('latin1');
    if (parts.length < 1000) parts.push({ at: Date.now(), text: part.length < 200 ? part.toString('latin1') : '' });
  });
  const end = (error) =>
    finish({
      status: response.statusCode,
      headers: response.headers,
      text: text.slice(0, 65536),
      length: size,
      sha256: received.digest('hex'),
      sent: sent.copy().digest('hex'),
      parts,
      ...error,
    });
  response.once('end', () => end({}));
  response.once('error', (error) => end({ error: error.message }));
});
// nginx may answer (413) and close while we still send: the answer counts.
outgoing.once('error', (error) => setTimeout(() => finish({ error: error.message }), 500));
pipeline(Readable.from(body()), outgoing).catch(() => undefined);
