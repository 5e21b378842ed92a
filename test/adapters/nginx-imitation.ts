/** As much of `nginx -t` as the cases need: follows includes, knows a few mistakes, and complains in nginx's words. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Run } from '../../agent/adapters/nginx-test.ts';

class Emergency extends Error {}

interface Seen {
  defaults: number;
  backlogs: number;
  certificates: boolean;
}

const expand = (pattern: string): string[] => {
  if (!pattern.includes('*')) return [pattern];
  const ending = pattern.slice(pattern.indexOf('*') + 1);
  const folder = dirname(pattern);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith(ending) && !name.startsWith('.'))
    .sort()
    .map((name) => `${folder}/${name}`);
};

const readFile = (path: string, base: string, seen: Seen): void => {
  const fail = (message: string, line: number): never => {
    throw new Emergency(`${message} in ${path}:${line}`);
  };
  let depth = 0;
  const lines = readFileSync(path, 'utf8').split('\n');
  for (const [index, line] of lines.entries()) {
    const text = line.replace(/#.*/, '').trim();
    if (text.includes('}') && depth === 0 && !text.includes('{')) fail('unexpected "}"', index + 1);
    depth += text.split('{').length - text.split('}').length;
    if (/\bbroken on;/.test(text)) fail('unknown directive "broken"', index + 1);
    if (text.includes('default_server') && ++seen.defaults > 1)
      fail('a duplicate default server for 0.0.0.0', index + 1);
    if (text.includes('backlog=') && ++seen.backlogs > 1) fail('duplicate listen options for 0.0.0.0', index + 1);
    if (text.includes('ssl_certificate')) seen.certificates = true;
    const include = /^include "?([^";]+)"?;/.exec(text);
    if (include !== null) for (const file of expand(resolve(base, include[1]!))) readFile(file, base, seen);
    else if (text !== '' && !/[;{}]$/.test(text)) fail('unexpected end of file, expecting ";" or "}"', index + 1);
  }
};

export const imitation: Run = (argv) => {
  if (argv.includes('-v'))
    return Promise.resolve({ code: 0, stdout: '', stderr: 'nginx version: nginx/1.26.3 (Imitation)\n' });
  const main = argv[argv.indexOf('-c') + 1]!;
  const seen: Seen = { defaults: 0, backlogs: 0, certificates: false };
  const failure = (message: string) =>
    Promise.resolve({
      code: 1,
      stdout: '',
      stderr: `nginx: [warn] something\n2026/11/21 11:36:09 [emerg] 16801#16801: ${message}\nnginx: configuration file ${main} test failed\n`,
    });
  try {
    readFile(main, dirname(main), seen);
    return seen.certificates
      ? failure('cannot load certificate "/none.pem": BIO_new_file() failed')
      : Promise.resolve({ code: 0, stdout: '', stderr: '' });
  } catch (error) {
    if (error instanceof Emergency) return failure(error.message);
    throw error;
  }
};
