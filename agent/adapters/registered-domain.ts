/** The domain that somebody registered, by the public suffix list: what a CA counts certificates by. */
import type { RegisteredDomain } from '../core/budget.ts';

/**
 * Loads the list (136 KB, about 15 ms) and gives what looks names up in it. Private suffixes count too: at Let's Encrypt each
 * customer's name below github.io is a domain of its own. A name that is itself a suffix gives null.
 */
export const loadRegisteredDomain = async (): Promise<RegisteredDomain> => {
  const { getDomain } = await import('tldts');
  return (name) => getDomain(name, { allowPrivateDomains: true, extractHostname: false });
};
