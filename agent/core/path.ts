/** Absolute paths, of a site's files and of volumes. Narrow on purpose: they end up in nginx, systemd and Docker. */
import type { Volume } from './spec.ts';
import { bad, good, type Parsed, shown, type ValueType } from './value.ts';

/** In UTF-8 no more than the 4,096 bytes of a path in Linux and of a word in nginx. */
const longestPath = 1000;
const form = 'an absolute path';

/** Letters of any language, digits, blanks and . _ ~ + @ = % - (nginx, for one, cannot write a `$` in a path at all). */
const stranger = /[^\p{L}\p{M}\p{N} ._~+@=%/-]/u;

/** An absolute path without `..`, empty parts or a slash at its end (which is dropped). */
export const parsePath = (text: string): Parsed<string> => {
  if (!text.startsWith('/')) return bad(`${shown(text)} is not an absolute path`, 'begin it with /');
  if (text.length > longestPath) return bad(`a path may have ${longestPath} characters`);
  const odd = stranger.exec(text)?.[0];
  if (odd !== undefined)
    return bad(`${shown(text)} contains ${shown(odd)}`, 'use letters, digits, blanks and . _ ~ + @ = % -');
  const path = text.length > 1 && text.endsWith('/') ? text.slice(0, -1) : text;
  const parts = path.slice(1).split('/');
  if (parts.includes('..') || parts.includes('.'))
    return bad(`${shown(text)} contains \`..\` or \`.\``, 'write the path that it leads to');
  if (path !== '/' && parts.includes('')) return bad(`${shown(text)} has two slashes in a row`);
  if (parts.some((part) => part !== part.trim())) return bad(`${shown(text)} has a blank beside a slash`);
  return good(path);
};

export const absolutePath: ValueType<string> = { name: 'path', form, comment: false, parse: parsePath };

/** Folders of the system: neither they nor anything in them is a web site. */
const system =
  /^\/(etc|proc|sys|dev|run|boot|bin|sbin|lib(32|64|x32)?|root|lost\+found|usr(?!\/(share|local)\/.)|usr\/local\/s?bin|var\/(run|lock|lib\/(appfleet|docker)))(\/|$)/;
/** Folders that hold other people's things as well. */
const shared = /^\/(home|var|var\/lib|var\/log|opt|mnt|media|tmp|srv\/?)?$/;

/** A folder that nginx may show to the world. */
export const root: ValueType<string> = {
  ...absolutePath,
  name: 'folder',
  form: 'an absolute path of a folder, not a folder of the system',
  parse: (text) => {
    const path = parsePath(text);
    if (!path.ok) return path;
    if (path.value !== '/srv' && (shared.test(path.value) || system.test(path.value)))
      return bad(
        `${shown(path.value)} is a folder of the system: everything in it would be public`,
        'use one like /srv/www/example.org',
      );
    return path;
  },
};

/** The page for a site that is closed. */
export const page: ValueType<string> = {
  ...absolutePath,
  form: 'an absolute path of an .html file',
  parse: (text) => (text.endsWith('.html') ? parsePath(text) : bad(`${shown(text)} is not the path of an .html file`)),
};

const parseInside = (text: string): Parsed<string> => {
  const path = parsePath(text);
  if (!path.ok) return path;
  if (path.value === '/') return bad('the whole file system of the container cannot be replaced', 'name a folder');
  if (/^\/(proc|sys|dev|run\/appfleet)(\/|$)/.test(path.value))
    return bad(`${shown(path.value)} is taken in every container`);
  return path;
};

/** A place in a container that something can be mounted on. */
export const inside: ValueType<string> = {
  ...absolutePath,
  form: 'an absolute path in the container',
  parse: parseInside,
};

const parseVolume = (text: string): Parsed<Volume> => {
  const [host = '', container, mode = 'rw', ...rest] = text.split(':').map((part) => part.trim());
  if (container === undefined || rest.length > 0)
    return bad(`${shown(text)} is not a volume`, 'write host:container, or host:container:ro to forbid writing');
  if (mode !== 'ro' && mode !== 'rw') return bad(`${shown(mode)} is not one of ro, rw`);
  if (!host.startsWith('/') && !/^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}$/.test(host))
    return bad(`${shown(host)} is neither an absolute path nor the name of a Docker volume`, 'write the whole path');
  const from = host.startsWith('/') ? parsePath(host) : good(host);
  if (!from.ok) return from;
  const to = parseInside(container);
  if (!to.ok) return to;
  if (from.value === '/') return bad(`${shown(text)} would show the whole host to the container`, 'name a folder');
  return good({ host: from.value, container: to.value, readOnly: mode === 'ro' });
};

/** Volumes with commas between; each place in the container once. */
export const volumes: ValueType<readonly Volume[]> = {
  name: 'volumes',
  form: 'host:container or host:container:ro, several with commas between; host is an absolute path or the name of a Docker volume',
  comment: false,
  parse: (text) => {
    const found: Volume[] = [];
    for (const item of text.trim() === '' ? [] : text.split(',')) {
      const volume = parseVolume(item.trim());
      if (!volume.ok) return volume;
      if (found.some((each) => each.container === volume.value.container))
        return bad(`${shown(volume.value.container)} is the target of two volumes`);
      found.push(volume.value);
    }
    return good(found);
  },
};
