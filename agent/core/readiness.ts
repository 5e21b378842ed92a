/** When a container counts as ready. */
import { parsePath } from './path.ts';
import { port } from './scalar.ts';
import type { Health, ServiceSpec } from './spec.ts';
import { bad, good, shown, type ValueType } from './value.ts';

export const health: ValueType<Health> = {
  name: 'health',
  form: 'connect (the socket accepts), ping (php-fpm answers) or /path (answers below 500)',
  comment: true,
  pattern: '^(connect|ping|/[A-Za-z0-9._~/%=&?+,@:-]*)$',
  parse: (text) => {
    if (text === 'connect') return good({ kind: 'connect' });
    if (text === 'ping') return good({ kind: 'fastcgi-ping' });
    if (/^\/[A-Za-z0-9._~/%=&?+,@:-]{0,1000}$/.test(text)) return good({ kind: 'http', path: text });
    return bad(`${shown(text)} is not a way to tell health`, 'write connect, ping or a path like /health');
  },
};

export const ready: ValueType<ServiceSpec['ready']> = {
  name: 'ready',
  form: 'socket:/path or port:3306',
  comment: false,
  parse: (text) => {
    if (text === '') return good(null);
    const colon = text.indexOf(':');
    const kind = text.slice(0, colon);
    const rest = text.slice(colon + 1).trim();
    if (kind === 'port') {
      const parsed = port.parse(rest);
      return parsed.ok ? good({ kind, port: parsed.value }) : parsed;
    }
    if (kind !== 'socket')
      return bad(`${shown(text)} is not a way to tell readiness`, 'write socket:/path or port:3306');
    const path = parsePath(rest);
    if (!path.ok) return path;
    return path.value.length > 107 || Array.from(path.value).some((c) => c > '\x7f')
      ? bad('the path of a socket may have 107 ASCII characters')
      : good({ kind, path: path.value });
  },
};
