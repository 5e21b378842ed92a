import { createServer, type AddressInfo, type Server } from 'node:net';
import t from 'tap';
import { listenersIn, takenPorts } from '../../agent/adapters/nginx-ports.ts';

t.test('who listens, from the words of the kernel', (t) => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1FA3 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1FA3 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0000000000000000 20 4 30 10 -1
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0000000000000000 100 0 0 10 0
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4714 1 0000000000000000 100 0 0 10 0
`;
  t.strictSame(
    [...listenersIn(table, new Set([8099, 80]))],
    [
      ['4711', 8099],
      ['4714', 80],
    ],
  );
  t.end();
});

t.test('a port belongs to the program that listens on it; none to nginx itself', async (t) => {
  const listen = async (host: string): Promise<Server> => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    t.teardown(() => server.close());
    return server;
  };
  const { port } = (await listen('127.0.0.1')).address() as AddressInfo;
  const closed = await listen('127.0.0.1');
  const { port: free } = closed.address() as AddressInfo;
  await new Promise((resolve) => closed.close(resolve));
  const taken = takenPorts([port, free], null);
  t.strictSame([...taken.keys()], [port]);
  t.match(taken.get(port), new RegExp(`^\\S+ \\(process ${process.pid}\\)$`));
  t.strictSame([...takenPorts([port, free], { pid: process.pid })], []);
});
