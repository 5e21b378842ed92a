/** What a run over the certificates of a host is made of; main.ts puts the real things together. */
import type { RegisteredDomain } from '../core/budget.ts';
import type { Account } from './account.ts';
import type { CertificateAuthority, DnsHook, Reach, X509 } from './ports.ts';
import type { CertificateStore } from './store.ts';

/** How a CA is spoken to: what its settings and the account on disk say. */
export interface AuthorityOptions {
  directory: string;
  caFile: string | null;
  contacts: readonly string[];
  binding: { kid: string; keyFile: string } | null;
  account: Pick<Account, 'keyPem' | 'url'>;
}

export interface CertificateTools {
  x509: X509;
  store: CertificateStore;
  /** Connects to nothing yet. Throws AF_FILE when a file of the settings cannot be read. */
  authority(options: AuthorityOptions): Promise<CertificateAuthority>;
  /** `strict`: the CA serves the public internet only, so names that cannot be there are refused at once. */
  reach(options: { strict: boolean }): Reach;
  dnsHook(program: string): DnsHook;
  registeredDomain(): Promise<RegisteredDomain>;
  /** Runs the admin's hooks for each of these; what comes back are sentences about those that failed. */
  runHooks(renewed: readonly { site: string; names: readonly string[]; folder: string }[]): Promise<readonly string[]>;
  /** In [0, 1). */
  random: () => number;
}
