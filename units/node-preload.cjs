// Loaded before the program by NODE_OPTIONS=--require: the one listen() on the number in PORT goes to the site's socket instead,
// and SIGTERM lets requests finish. The program itself stays as it is (the idea is Passenger's reverse port binding).
'use strict';
const net = require('node:net');

const socket = process.env.APPFLEET_SOCKET;
const port = process.env.PORT;
const servers = new Set();

if (socket && port) {
  const listen = net.Server.prototype.listen;
  net.Server.prototype.listen = function (...args) {
    const [first] = args;
    const options =
      typeof first === 'object' && first !== null && !first._handle && first.fd === undefined ? first : null;
    const wanted = options ? options.port : first;
    if (wanted === undefined || wanted === null || String(wanted) !== port) return listen.apply(this, args);
    servers.add(this);
    this.once('close', () => servers.delete(this));
    const callback = args.findLast((arg) => typeof arg === 'function');
    // Options must not keep a port: Node would open a random one. writableAll: nginx is another user.
    const { port: _port, host: _host, path: _path, ...rest } = options ?? {};
    const target = { ...rest, path: socket, readableAll: true, writableAll: true };
    return listen.apply(this, callback ? [target, callback] : [target]);
  };

  // A program that handles SIGTERM itself knows better; otherwise stop accepting, let requests end, then leave.
  process.on('SIGTERM', () => {
    if (process.listenerCount('SIGTERM') > 1) return;
    if (servers.size === 0) process.exit(143);
    let open = servers.size;
    for (const server of servers) {
      server.close(() => --open === 0 && process.exit(143));
      server.closeIdleConnections?.();
    }
  });
}
