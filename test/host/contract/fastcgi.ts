import { createServer, type Server } from 'node:net';

const types = { end: 3, params: 4, stdin: 5, stdout: 6 };

/** Reads name-value pairs: lengths are one byte, or four with the highest bit set (FastCGI specification 3.4). */
const readPairs = (bytes: Buffer): Record<string, string> => {
  const pairs: Record<string, string> = {};
  let at = 0;
  const length = (): number => {
    const short = bytes[at] ?? 0;
    at += short < 128 ? 1 : 4;
    return short < 128 ? short : bytes.readUInt32BE(at - 4) & 0x7fffffff;
  };
  while (at < bytes.length) {
    const name = length();
    const value = length();
    pairs[bytes.toString('utf8', at, at + name)] = bytes.toString('utf8', at + name, at + name + value);
    at += name + value;
  }
  return pairs;
};

const record = (type: number, content: Buffer): Buffer => {
  const head = Buffer.from([1, type, 0, 1, 0, 0, 0, 0]);
  head.writeUInt16BE(content.length, 4);
  return Buffer.concat([head, content]);
};

/** A FastCGI server that answers every request with its parameters as JSON. */
export const createFastcgi = (): Server =>
  createServer((socket) => {
    let unread = Buffer.alloc(0);
    let params = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      unread = Buffer.concat([unread, chunk]);
      while (unread.length >= 8) {
        const length = unread.readUInt16BE(4);
        const end = 8 + length + (unread[6] ?? 0);
        if (unread.length < end) return;
        const content = unread.subarray(8, 8 + length);
        const type = unread[1];
        unread = unread.subarray(end);
        if (type === types.params) params = Buffer.concat([params, content]);
        if (type !== types.stdin || length > 0) continue;
        const body = JSON.stringify(readPairs(params));
        // With its length, so that nginx needs no chunks and the body can be read as it is.
        const text = `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
        const nothing = Buffer.alloc(0);
        socket.end(
          Buffer.concat([
            record(types.stdout, Buffer.from(text)),
            record(types.stdout, nothing),
            record(types.end, Buffer.alloc(8)),
          ]),
        );
      }
    });
  });
