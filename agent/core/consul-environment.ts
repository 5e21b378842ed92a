/** Where Consul is, by the variables that all of its tools know (CONSUL_HTTP_ADDR and others). */
import { consulAddress } from './consul-values.ts';
import type { ConsulSettings } from './spec.ts';
import type { Parsed } from './value.ts';
import { good } from './value.ts';

export interface NamedConsul {
  settings: ConsulSettings;
  /** The token itself, which wins over one in a file. */
  token: string | null;
}

const plain: ConsulSettings = {
  address: { kind: 'http', host: '127.0.0.1', port: 8500 },
  datacenter: null,
  tokenFile: null,
  caFile: null,
  certificate: null,
  kvPrefix: 'appfleet',
  servicePrefix: '',
  tags: [],
  serviceAddress: null,
  ttlSeconds: 90,
  registrator: false,
  kvSet: false,
  fleetstreet: 'off',
};

/** Variables win over the settings of the host, as with Consul's own command line; null settings: this host has none. */
export const namedConsul = (
  env: Readonly<Record<string, string | undefined>>,
  settings: ConsulSettings | null,
): Parsed<NamedConsul> => {
  const of = (name: string): string | null => env[name] || null;
  const base = settings ?? plain;
  const address = of('CONSUL_HTTP_ADDR');
  const scheme = of('CONSUL_HTTP_SSL') === 'true' ? 'https' : 'http';
  const parsed =
    address === null
      ? good(base.address)
      : consulAddress.parse(/^[a-z]+:\/\//.test(address) ? address : `${scheme}://${address}`);
  if (!parsed.ok) return { ...parsed, message: `CONSUL_HTTP_ADDR: ${parsed.message}` };
  const [file, keyFile] = [of('CONSUL_CLIENT_CERT'), of('CONSUL_CLIENT_KEY')];
  return good({
    settings: {
      ...base,
      address: parsed.value,
      tokenFile: of('CONSUL_HTTP_TOKEN_FILE') ?? base.tokenFile,
      caFile: of('CONSUL_CACERT') ?? base.caFile,
      certificate: file === null || keyFile === null ? base.certificate : { file, keyFile },
    },
    token: of('CONSUL_HTTP_TOKEN'),
  });
};
