// An application that cannot be told where to listen.
const http = require('node:http');
const os = require('node:os');

const server = http.createServer((req, res) => {
  const url = new URL(req.url, 'http://localhost');
  const answer = () => res.end(`${req.method} ${url.pathname} from ${os.hostname()}, pid ${process.pid}\n`);
  if (url.pathname === '/exit') return res.end('bye\n', () => process.exit(Number(url.searchParams.get('code') ?? 0)));
  if (url.pathname === '/slow') return setTimeout(answer, Number(url.searchParams.get('ms') ?? 1000));
  return answer();
});

server.listen(3000, '0.0.0.0', () => console.log('listening on port 3000'));
