import { request, type IncomingHttpHeaders, type RequestOptions } from 'node:http';
import { connect } from 'node:net';

export interface Answer {
  status: number;
  /** performance.now() when the first byte had come. */
  at: number;
  body: string;
  headers: IncomingHttpHeaders;
}

/** One request on a connection of its own. */
export const ask = (options: RequestOptions, body = ''): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const sent = request({ ...options, agent: false }, (response) => {
      const at = performance.now();
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => (text += part));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, at, body: text, headers: response.headers }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });

/** A request to nginx on this host. */
export const askSite = (domain: string, path = '/'): Promise<Answer> =>
  ask({ host: '127.0.0.1', port: 80, path, headers: { host: domain } });

/** The Docker Engine's API. Throws for an answer that is no success. */
export const docker = async (method: string, path: string, body?: unknown): Promise<string> => {
  const text = body === undefined ? '' : JSON.stringify(body);
  const headers = { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) };
  const answer = await ask({ socketPath: '/run/docker.sock', method, path, headers }, text);
  if (answer.status >= 400) throw new Error(`docker ${method} ${path}: ${answer.status} ${answer.body}`);
  return answer.body;
};

/** Whether somebody accepts on a unix socket. */
export const accepts = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

export const pause = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds));
