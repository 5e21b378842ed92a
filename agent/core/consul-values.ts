/** Values that say where Consul is and what our records in it are called. */
import { bad, good, listOf, type Parsed, shown, type ValueType, wordOf } from './value.ts';
import { parsePath } from './path.ts';
import type { ConsulAddress } from './spec.ts';

const hint = 'write it like http://127.0.0.1:8500, https://consul.example.org:8501 or unix:///run/consul/http.sock';

const parseAddress = (text: string): Parsed<ConsulAddress> => {
  const wrong = bad(`${shown(text)} is not the address of a Consul agent`, hint);
  if (text.startsWith('unix://')) {
    const path = parsePath(text.slice('unix://'.length));
    return path.ok ? good({ kind: 'unix', path: path.value }) : wrong;
  }
  const [, kind, name = '', number] =
    /^(https?):\/\/([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?\/?$/i.exec(text) ?? [];
  const port = Number(number ?? 8500);
  if ((kind !== 'http' && kind !== 'https') || port < 1 || port > 65535 || !URL.canParse(text)) return wrong;
  return good({ kind, host: name.replace(/^\[(.*)\]$/, '$1'), port });
};

/** URL of a Consul agent's HTTP API; port 8500 where none is named. */
export const consulAddress: ValueType<ConsulAddress> = {
  name: 'address',
  form: 'http://HOST:PORT, https://HOST:PORT or unix:///PATH',
  comment: true,
  parse: parseAddress,
};

export const datacenter = wordOf(
  'datacenter',
  'a word like dc1',
  /^[A-Za-z0-9_-]{1,63}$/,
  'the name of a datacenter: letters, digits, _ and - are allowed',
  true,
);

/** Folder of keys, without slashes at its ends. */
export const keyPrefix = wordOf(
  'prefix of keys',
  'words with slashes between',
  /^[A-Za-z0-9._-]{1,100}(\/[A-Za-z0-9._-]{1,100}){0,5}$/,
  'a prefix of keys: write words with slashes between, and none at the ends',
  true,
);

/** In front of each service's name, which has to be a DNS label with it. */
export const servicePrefix = wordOf(
  'prefix of services',
  'letters, digits and hyphens',
  /^[a-z0-9]([a-z0-9-]{0,30})$/,
  'the beginning of a DNS name: up to 31 lower-case letters, digits and hyphens',
  true,
);

export const consulTags = listOf('tags', {
  name: 'tag',
  form: 'production',
  comment: true,
  parse: (text: string) =>
    /^[A-Za-z0-9][A-Za-z0-9._:=/-]{0,99}$/.test(text)
      ? good(text)
      : bad(`${shown(text)} is not a tag`, 'use letters, digits and . _ : = / -'),
});
