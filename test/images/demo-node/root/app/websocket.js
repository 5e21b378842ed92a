// As much of RFC 6455 as an echo needs: every text or binary message comes back.
const crypto = require('node:crypto');

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

exports.echo = function echo(req, socket) {
  const key = `${req.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const accept = crypto.createHash('sha1').update(key).digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  let pending = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    for (let frame = take(pending); frame; frame = take(pending)) {
      pending = pending.subarray(frame.size);
      if (frame.opcode === CLOSE) return socket.end(pack(CLOSE, frame.payload));
      if (frame.opcode === PING) socket.write(pack(PONG, frame.payload));
      if (frame.opcode === TEXT || frame.opcode === BINARY) socket.write(pack(frame.opcode, frame.payload));
    }
  });
};

// The first whole frame of the bytes, or undefined. Frames of a client are always masked.
function take(bytes) {
  if (bytes.length < 2) return undefined;
  let length = bytes[1] & 127;
  let offset = 2;
  if (length === 126) {
    if (bytes.length < 4) return undefined;
    length = bytes.readUInt16BE(2);
    offset = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return undefined;
    length = Number(bytes.readBigUInt64BE(2));
    offset = 10;
  }
  const size = offset + 4 + length;
  if (bytes.length < size) return undefined;
  const mask = bytes.subarray(offset, offset + 4);
  const payload = Buffer.from(bytes.subarray(offset + 4, size)).map((byte, i) => byte ^ mask[i % 4]);
  return { opcode: bytes[0] & 15, payload, size };
}

function pack(opcode, payload) {
  let head = Buffer.from([128 | opcode, payload.length]);
  if (payload.length > 65535) {
    head = Buffer.alloc(10);
    head[0] = 128 | opcode;
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(payload.length), 2);
  } else if (payload.length > 125) {
    head = Buffer.from([128 | opcode, 126, payload.length >> 8, payload.length & 255]);
  }
  return Buffer.concat([head, payload]);
}
