/** Whether a CA that looks for a name over HTTP would find this host: DNS first, then port 80 of every address that it has. */
import { isIP } from 'node:net';
import type { Reach } from '../certificates/ports.ts';
import { whyNotPublic } from '../core/public-name.ts';
import { createLimit } from '../net/limit.ts';
import { type AddressAnswer, ask } from './reach-ask.ts';
import { type Addresses, canonical, hostAddresses, isNobodys, lookUp } from './reach-dns.ts';

export interface ReachOptions {
  /** The CA serves the public internet only, as Let's Encrypt does: names and addresses that cannot be there are refused. */
  strict: boolean;
  /** DNS servers (`address:port`) instead of the system's. */
  servers?: readonly string[];
  /** Addresses of this host, instead of asking its interfaces. */
  own?: () => readonly string[];
  /** Where redirects to https lead. */
  httpsPort?: number;
  /** Milliseconds for each address. */
  limitMs?: number;
}

type Probe = Parameters<Reach['unreachable']>[1];

const namesAtOnce = 16;
/** Of a name with more addresses than these, the others are taken on trust. */
const mostAddresses = 10;
const mostShown = 3;

const listed = (items: readonly string[]): string =>
  items.length === 1 ? String(items[0]) : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;

/** Addresses that are another's: the CA may come to any of them. */
const foreign = (found: readonly string[], { addresses }: Probe, own: () => readonly string[]): string | null => {
  if (addresses === 'any') return null;
  const known = new Set((addresses === 'host' ? own() : addresses).map(canonical));
  const strange = found.filter((address) => !known.has(address));
  if (strange.length === 0) return null;
  const one = strange.length === 1;
  const whose = `${one ? 'is not an address' : 'are not addresses'} of this host`;
  return addresses === 'host'
    ? `resolves to ${listed(strange)}, which ${whose} (set acme_addresses when a load balancer is in front)`
    : `resolves to ${listed(strange)}, which ${one ? 'is' : 'are'} not in acme_addresses`;
};

const complaint = (address: string, port: number, answer: AddressAnswer, otherFamilyIsOurs: boolean): string => {
  // The classic: the A record was moved to this host and the AAAA record forgotten. Let's Encrypt asks IPv6 first.
  const stale = otherFamilyIsOurs ? `is an ${isIP(address) === 6 ? 'AAAA' : 'A'} record stale?` : null;
  if (answer.kind === 'silent')
    return `port ${port} of ${address} does not answer: ${answer.words}${stale === null ? '' : ` (${stale})`}`;
  const words = answer.kind === 'other' ? answer.words : '';
  return `something else answers on port ${port} of ${address} (${stale ?? words})`;
};

const judge = (answers: readonly { address: string; answer: AddressAnswer }[], port: number): string | null => {
  const ours = answers.filter(({ answer }) => answer.kind === 'ours').map(({ address }) => isIP(address));
  const bad = answers.filter(
    ({ answer }) =>
      answer.kind !== 'ours' &&
      // A host without IPv6 cannot look at the AAAA record of its load balancer. The CA can, and will say.
      !(answer.kind === 'silent' && answer.fromHere && ours.length > 0),
  );
  if (bad.length === 0) return null;
  return bad
    .slice(0, mostShown)
    .map(({ address, answer }) => {
      const otherFamilyIsOurs = ours.length > 0 && !ours.includes(isIP(address));
      return complaint(address, port, answer, otherFamilyIsOurs);
    })
    .join('; ');
};

/** Looks from this host, by the system's DNS: what the CA sees from where it is may still differ. */
export const createReach = (options: ReachOptions): Reach => {
  const { strict, servers = null, own = hostAddresses, httpsPort = 443, limitMs = 5000 } = options;
  const limit = createLimit(namesAtOnce);

  const look = async (name: string): Promise<Addresses> => {
    const why = strict ? whyNotPublic(name) : null;
    return why === null ? lookUp(name, servers) : { found: null, why };
  };

  const find = async (name: string): Promise<string | null> => {
    const { found } = await look(name);
    // A redirect is what somebody else wrote: it must not make us ask what only this machine can be asked.
    return found?.find((address) => !strict || !isNobodys(address)) ?? null;
  };

  return {
    unreachable: (name, probe) =>
      limit(async () => {
        if (name.startsWith('*.')) return 'is a wildcard, which can be proved by DNS only (acme_dns_hook)';
        const addresses = await look(name);
        if (addresses.found === null) return addresses.why;
        const found = addresses.found.slice(0, mostAddresses);
        const nobodys = strict ? found.filter(isNobodys) : [];
        if (nobodys.length > 0) return `resolves to ${listed(nobodys)}, where only the machine itself can be reached`;
        const { token, expected, port } = probe;
        const question = { name, port, httpsPort, token, expected, limitMs, find };
        const answers = await Promise.all(
          found.map(async (address) => ({ address, answer: await ask(address, question) })),
        );
        // What answers as this host is this host, whatever translates addresses in front of it.
        const verdict = judge(answers, port);
        return verdict === null ? null : (foreign(found, probe, own) ?? verdict);
      }),
  };
};
