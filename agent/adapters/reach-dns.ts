/** Addresses of a name as the DNS has them, and those of this host. */
import { Resolver } from 'node:dns/promises';
import { BlockList, isIP, SocketAddress } from 'node:net';
import { networkInterfaces } from 'node:os';

const secondsPerTry = 2;
const limitMs = 10_000;

export type Addresses = { found: readonly string[] } | { found: null; why: string };

/** c-ares' codes that are an answer: there is no such name, or no record of this type. */
const empty: readonly string[] = ['ENOTFOUND', 'ENODATA'];
const troubles: Readonly<Record<string, string>> = {
  ETIMEOUT: 'the DNS server does not answer',
  ECANCELLED: 'the DNS server does not answer in time',
  ECONNREFUSED: 'no DNS server is there',
  EREFUSED: 'the DNS server refuses to',
  ESERVFAIL: 'the DNS server says that it failed (SERVFAIL: is DNSSEC broken, or the name server of the domain away?)',
  EBADRESP: 'the answer of the DNS server makes no sense',
};

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '');

/** One way to write an address: `2001:DB8::0:1` and `2001:db8::1` are the same. What is no address stays. */
export const canonical = (address: string): string => {
  const version = isIP(address);
  if (version === 0) return address;
  return new SocketAddress({ address, family: version === 6 ? 'ipv6' : 'ipv4' }).address;
};

/** A and AAAA of the name from the system's DNS servers or those given; /etc/hosts does not count: the CA has another one. */
export const lookUp = async (name: string, servers: readonly string[] | null): Promise<Addresses> => {
  const resolver = new Resolver({ timeout: secondsPerTry * 1000, tries: 2 });
  if (servers !== null) resolver.setServers(servers);
  // Each server of resolv.conf has its tries; all together have an end.
  const limit = setTimeout(() => resolver.cancel(), limitMs);
  try {
    const [four, six] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    const found = [four, six].flatMap((each) => (each.status === 'fulfilled' ? each.value : [])).map(canonical);
    if (found.length > 0) return { found: [...new Set(found)] };
    const codes = [four, six].flatMap((each) => (each.status === 'rejected' ? [codeOf(each.reason)] : []));
    const trouble = codes.find((code) => !empty.includes(code));
    if (trouble !== undefined)
      return { found: null, why: `cannot be resolved now: ${troubles[trouble] ?? `DNS says ${trouble}`}` };
    return {
      found: null,
      why: codes.includes('ENOTFOUND')
        ? 'does not resolve'
        : 'does not resolve: it has neither an A nor an AAAA record',
    };
  } finally {
    clearTimeout(limit);
  }
};

/** The addresses of this host's interfaces, loopback included. */
export const hostAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => canonical(address)));

const own = new BlockList();
own.addSubnet('127.0.0.0', 8);
own.addSubnet('0.0.0.0', 8);
own.addSubnet('169.254.0.0', 16);
own.addAddress('::1', 'ipv6');
own.addAddress('::', 'ipv6');
own.addSubnet('fe80::', 10, 'ipv6');

/** Whether an address means something else on each machine (RFC 6890): no CA ever comes there. */
export const isNobodys = (address: string): boolean => own.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
