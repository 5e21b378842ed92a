// Opens a WebSocket through nginx and has it echo: one message at the start, one after each of the given silences.
//   { host, path, silencesMs: [3000, ...], bytes, holdMs }
// JSON on stdout: how many came back, and why it ended if we did not end it.
import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:net';

const { host, path = '/ws', silencesMs = [], bytes = 64 } = JSON.parse(process.argv[2]);
const began = performance.now();
const finish = (answer) => {
  console.log(JSON.stringify({ echoes: 0, ms: Math.round(performance.now() - began), ...answer }));
  process.exit(0);
};

const key = randomBytes(16).toString('base64');
const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
const socket = connect(80, '127.0.0.1');
let arrived = Buffer.alloc(0);
let wanted = null;
let echoes = 0;
const ended = (why) => finish({ echoes, ended: why });
socket.once('error', (error) => ended(error.message));
socket.once('close', () => ended('closed by the other side'));
setTimeout(() => ended('no end after 120 s'), 120_000);

const take = (length) =>
  new Promise((resolve) => {
    wanted = { length, resolve };
    serve();
  });
const serve = () => {
  if (wanted === null) return;
  const length = typeof wanted.length === 'number' ? wanted.length : arrived.indexOf('\r\n\r\n') + 4;
  if (length < 4 && typeof wanted.length !== 'number') return;
  if (arrived.length < length) return;
  const { resolve } = wanted;
  wanted = null;
  const part = arrived.subarray(0, length);
  arrived = arrived.subarray(length);
  resolve(part);
};
socket.on('data', (part) => {
  arrived = Buffer.concat([arrived, part]);
  serve();
});

const send = (payload) => {
  const mask = randomBytes(4);
  const head = payload.length < 126 ? Buffer.from([0x82, 0x80 | payload.length]) : Buffer.alloc(10);
  if (payload.length >= 126) {
    head.set([0x82, 0xff]);
    head.writeBigUInt64BE(BigInt(payload.length), 2);
  }
  socket.write(Buffer.concat([head, mask, payload.map((byte, i) => byte ^ mask[i % 4])]));
};
const receive = async () => {
  const head = await take(2);
  const short = head[1] & 127;
  const length =
    short === 127 ? Number((await take(8)).readBigUInt64BE()) : short === 126 ? (await take(2)).readUInt16BE() : short;
  return length === 0 ? Buffer.alloc(0) : take(length);
};
const echo = async () => {
  const payload = randomBytes(bytes);
  send(payload);
  if (!(await receive()).equals(payload)) ended('another message came back');
  echoes++;
};

socket.write(
  [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${key}`,
    'Sec-WebSocket-Version: 13',
    '',
    '',
  ].join('\r\n'),
);
const answer = (await take('head')).toString();
if (!/^HTTP\/1\.1 101 /.test(answer) || !answer.includes(accept)) ended(answer.split('\r\n')[0]);
await echo();
for (const silence of silencesMs) {
  await new Promise((resolve) => setTimeout(resolve, silence));
  await echo();
}
socket.removeAllListeners('close');
socket.once('close', () => finish({ echoes }));
socket.write(Buffer.from([0x88, 0x80, 0, 0, 0, 0]));
setTimeout(() => socket.destroy(), 1000);
