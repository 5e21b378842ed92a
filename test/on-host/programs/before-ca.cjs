// Stands between the agent and Pebble, as load balancers stand before CAs; what it does besides passing on is told by files in its
// folder, read at each request:
//   limit      every new order is answered with 429 and this Retry-After, in seconds
//   profiles   JSON of the profiles that the directory offers (Pebble 2.6 knows none)
//   chain      stands in for each certificate that is fetched
//   orders     it writes a line of JSON for each new order that it passes on
const { appendFileSync, readFileSync } = require('node:fs');
const https = require('node:https');

const [folder, port, upstream] = process.argv.slice(2);
const key = readFileSync('/run/pebble/leaf.key');
const cert = readFileSync('/run/pebble/leaf.pem');
const ca = readFileSync('/run/pebble/ca.pem');
const setting = (name) => {
  try {
    return readFileSync(`${folder}/${name}`, 'utf8').trim();
  } catch {
    return null;
  }
};

const server = https.createServer({ key, cert }, async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  if (request.url === '/order-plz') {
    const limit = setting('limit');
    if (limit !== null) {
      response.writeHead(429, { 'Retry-After': limit, 'Content-Type': 'application/problem+json' });
      const type = 'urn:ietf:params:acme:error:rateLimited';
      return response.end(JSON.stringify({ type, detail: 'too many new orders recently', status: 429 }));
    }
    const { payload } = JSON.parse(body);
    appendFileSync(`${folder}/orders`, `${Buffer.from(payload, 'base64url')}\n`);
  }
  const { method, url, headers } = request;
  const outgoing = https.request({
    host: '127.0.0.1',
    port: upstream,
    servername: 'localhost',
    ca,
    method,
    path: url,
    headers,
  });
  outgoing.on('response', async (answer) => {
    const parts = [];
    for await (const part of answer) parts.push(part);
    let text = Buffer.concat(parts);
    const profiles = setting('profiles');
    if (url === '/dir' && profiles !== null) {
      const directory = JSON.parse(text);
      text = Buffer.from(JSON.stringify({ ...directory, meta: { ...directory.meta, profiles: JSON.parse(profiles) } }));
    }
    if (url.startsWith('/certZ/')) text = Buffer.from(setting('chain') ?? text);
    const { 'transfer-encoding': _, ...kept } = answer.headers;
    response.writeHead(answer.statusCode, { ...kept, 'content-length': text.length });
    response.end(method === 'HEAD' ? undefined : text);
  });
  outgoing.on('error', () => response.destroy());
  outgoing.end(body);
});
server.listen(Number(port));
