import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { AppFleetError, messageOf } from '../errors.ts';

export interface ApiRequest {
  socket: string;
  method: 'GET' | 'POST' | 'DELETE';
  /** Path with query. */
  path: string;
  /** Sent as JSON. */
  body?: unknown;
  /** Milliseconds without a byte of answer before giving up; 0 waits for ever. */
  timeoutMs?: number;
}

export interface ApiAnswer {
  status: number;
  /** Parsed JSON, the text itself where it is something else, null where it is empty. */
  body: unknown;
}

const longestAnswer = 64 * 1024 * 1024;
const defaultTimeoutMs = 30_000;

const hints: Record<string, string> = {
  ENOENT: 'systemctl start appfleet.socket; appfleet doctor',
  ECONNREFUSED: 'systemctl restart appfleet.socket',
  EACCES: 'the agent speaks to root only: try again with sudo',
};

const failure = (request: ApiRequest, error: unknown): AppFleetError => {
  if (error instanceof AppFleetError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return new AppFleetError('AF_API', `${request.method} ${request.path} at ${request.socket}: ${messageOf(error)}`, {
    cause: error,
    hint: hints[code],
  });
};

const open = (request: ApiRequest): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const text = request.body === undefined ? undefined : JSON.stringify(request.body);
    const timeout = request.timeoutMs ?? defaultTimeoutMs;
    const call = httpRequest({
      socketPath: request.socket,
      method: request.method,
      path: request.path,
      // One connection per call: a pooled one would keep the process alive.
      agent: false,
      headers: {
        host: 'appfleet',
        accept: 'application/json',
        ...(text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      },
    });
    call.setTimeout(timeout, () => call.destroy(new Error(`no answer within ${timeout / 1000} s`)));
    call.once('response', resolve);
    call.once('error', (error) => reject(failure(request, error)));
    call.end(text);
  });

const parse = (answer: IncomingMessage, text: string): unknown => {
  if (text === '') return null;
  return /\bjson\b/.test(answer.headers['content-type'] ?? '') ? JSON.parse(text) : text;
};

/** One request over a unix socket. Any status is an answer; throws AF_API when there is none. */
export const request = async (request: ApiRequest): Promise<ApiAnswer> => {
  const answer = await open(request);
  try {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > longestAnswer) throw new Error('the answer is longer than 64 MB');
      chunks.push(chunk);
    }
    return { status: answer.statusCode ?? 0, body: parse(answer, Buffer.concat(chunks).toString('utf8')) };
  } catch (error) {
    throw failure(request, error);
  }
};

/** One request whose answer comes line by line (progress, logs); resolves with the status after the last line. */
export const requestLines = async (request: ApiRequest, onLine: (line: string) => void): Promise<number> => {
  const answer = await open(request);
  // readline does not report that the other side broke off; without this the half answer would look whole.
  const broken = new Promise<never>((_, reject) => answer.once('error', (error) => reject(failure(request, error))));
  const read = async (): Promise<number> => {
    for await (const line of createInterface({ input: answer, crlfDelay: Infinity })) onLine(line);
    if (!answer.complete) throw failure(request, new Error('the answer broke off'));
    return answer.statusCode ?? 0;
  };
  return Promise.race([read(), broken]);
};
