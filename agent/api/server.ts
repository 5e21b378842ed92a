/** The agent's API: HTTP and JSON on a unix socket that systemd holds, for root only. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { AppFleetError, messageOf } from '../errors.ts';

export interface Answer {
  status: number;
  body: unknown;
}

/** Answers one request; `line` sends a JSON line at once for answers that take long. */
export type Route = (argument: string, line: (value: unknown) => void) => Promise<Answer>;

/** Routes by `METHOD /path`, where a path may end in `/:name`. */
export type Routes = Readonly<Record<string, Route>>;

const find = (routes: Routes, method: string, path: string): { route: Route; argument: string } | null => {
  const exact = routes[`${method} ${path}`];
  if (exact !== undefined) return { route: exact, argument: '' };
  for (const [key, route] of Object.entries(routes)) {
    const [verb, pattern = ''] = key.split(' ');
    if (verb !== method || !pattern.includes('/:name')) continue;
    const [before = '', after = ''] = pattern.split(':name');
    if (!path.startsWith(before) || !path.endsWith(after)) continue;
    const argument = path.slice(before.length, path.length - after.length);
    if (/^[a-z0-9.-]+$/.test(argument)) return { route, argument };
  }
  return null;
};

const respond = async (routes: Routes, request: IncomingMessage, response: ServerResponse): Promise<void> => {
  const path = new URL(request.url ?? '/', 'http://agent').pathname;
  request.resume();
  const found = find(routes, request.method ?? 'GET', path);
  const end = (status: number, body: unknown): void => {
    if (response.headersSent) return void response.end(`${JSON.stringify(body)}\n`);
    const isText = typeof body === 'string';
    response.writeHead(status, {
      'content-type': isText ? 'text/plain; version=0.0.4; charset=utf-8' : 'application/json',
    });
    response.end(isText ? body : `${JSON.stringify(body)}\n`);
  };
  if (found === null) return end(404, { error: `no such thing: ${request.method ?? ''} ${path}` });
  try {
    const { status, body } = await found.route(found.argument, (value) => {
      if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/x-ndjson' });
      response.write(`${JSON.stringify(value)}\n`);
    });
    end(status, body);
  } catch (error) {
    const known = error instanceof AppFleetError ? { code: error.code, hint: error.hint } : {};
    end(500, { error: messageOf(error), ...known });
  }
};

export const createApi = (routes: Routes): Server =>
  createServer((request, response) => {
    response.on('error', () => undefined);
    void respond(routes, request, response);
  });
