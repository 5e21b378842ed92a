/** What commands about certificates need, on a machine in memory. There is no CA: whoever asks for one fails the test. */
import { createX509 } from '../../agent/adapters/x509.ts';
import { createStore } from '../../agent/certificates/store.ts';
import type { CertificateTools } from '../../agent/certificates/tools.ts';
import type { Files } from '../../agent/ports.ts';

export const createFakeTools = (files: Files, change: Partial<CertificateTools> = {}): CertificateTools => {
  const x509 = createX509();
  const none = (what: string) => (): never => {
    throw new Error(`this test has no ${what}`);
  };
  return {
    x509,
    store: createStore(files, x509),
    authority: none('CA'),
    reach: none('network'),
    dnsHook: none('DNS hook'),
    registeredDomain: none('list of domains'),
    runHooks: none('hooks'),
    random: () => 0.5,
    ...change,
  };
};
