/** A DNS server (RFC 1035) on loopback that knows a handful of addresses: for who asks a real one. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIP } from 'node:net';

export type Reply = readonly string[] | 'nxdomain' | 'servfail' | 'refused' | 'silence' | 'garbage';

const codes = { nxdomain: 3, servfail: 2, refused: 5 } as const;
const types = { 1: 4, 28: 6 } as const;

/** 16 bytes of an address like 2001:db8::1; 4 of one like 192.0.2.1. */
const bytesOf = (address: string): Buffer => {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail = ''] = address.split('::').map((half) => half);
  const words = (half: string): number[] =>
    half
      .split(':')
      .filter(Boolean)
      .map((word) => parseInt(word, 16));
  const [front, back] = [words(head), words(tail)];
  const all = [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back];
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 255]));
};

export interface SmallDns {
  /** For Resolver.setServers. */
  server: string;
  /** What is said of a name; a list holds addresses of both kinds. Names that are not there are unknown. */
  names: Map<string, Reply>;
  /** How many questions came. */
  asked: () => number;
  close: () => void;
}

export const startDns = async (names: Readonly<Record<string, Reply>> = {}): Promise<SmallDns> => {
  const known = new Map(Object.entries(names));
  const socket = createSocket('udp4');
  let asked = 0;
  socket.on('message', (question, from) => {
    asked += 1;
    const labels: string[] = [];
    let at = 12;
    for (let length = question.readUInt8(at); length > 0; length = question.readUInt8(at)) {
      labels.push(question.subarray(at + 1, at + 1 + length).toString('latin1'));
      at += 1 + length;
    }
    const type = question.readUInt16BE(at + 1);
    const asking = question.subarray(12, at + 5);
    const reply = known.get(labels.join('.').toLowerCase()) ?? 'nxdomain';
    if (reply === 'silence') return;
    if (reply === 'garbage') return void socket.send(question.subarray(0, 7), from.port, from.address);
    const found =
      typeof reply === 'string' ? [] : reply.filter((one) => isIP(one) === types[type as keyof typeof types]);
    const header = Buffer.alloc(12);
    question.copy(header, 0, 0, 2);
    header.writeUInt16BE(0x8180 | (typeof reply === 'string' ? codes[reply] : 0), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(found.length, 6);
    const records = found.map((address) => {
      const data = bytesOf(address);
      const record = Buffer.alloc(12);
      record.writeUInt16BE(0xc00c, 0);
      record.writeUInt16BE(type, 2);
      record.writeUInt16BE(1, 4);
      record.writeUInt16BE(data.length, 10);
      return Buffer.concat([record, data]);
    });
    socket.send(Buffer.concat([header, asking, ...records]), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    server: `127.0.0.1:${socket.address().port}`,
    names: known,
    asked: () => asked,
    close: () => void socket.close(),
  };
};
