/** The real things that a run over certificates is made of. */
import { runRenewedHooks } from '../certificates/hooks.ts';
import type { CertificateTools } from '../certificates/tools.ts';
import { createStore } from '../certificates/store.ts';
import { paths } from '../core/names.ts';
import { AppFleetError } from '../errors.ts';
import type { Files } from '../ports.ts';
import { createAcme } from './acme.ts';
import { createDnsHook } from './dns-hook.ts';
import { createHookPrograms } from './hook-programs.ts';
import { createReach } from './reach.ts';
import { loadRegisteredDomain } from './registered-domain.ts';
import { createX509 } from './x509.ts';

const readOr = async (files: Files, path: string, key: string): Promise<string> => {
  const text = await files.read(path);
  if (text === null)
    throw new AppFleetError('AF_CONFIG', `${key}: there is no file ${path}`, { hint: 'see: appfleet help settings' });
  return text;
};

export const createCertificateTools = (files: Files): CertificateTools => {
  const x509 = createX509();
  return {
    x509,
    store: createStore(files, x509),
    authority: async ({ directory, caFile, contacts, binding, account }) =>
      createAcme({
        directoryUrl: directory,
        caPem: caFile === null ? null : await readOr(files, caFile, 'acme_ca_file'),
        accountKeyPem: account.keyPem,
        accountUrl: account.url,
        contacts,
        binding:
          binding === null
            ? null
            : { kid: binding.kid, hmacKey: (await readOr(files, binding.keyFile, 'acme_eab_key_file')).trim() },
      }),
    reach: createReach,
    dnsHook: createDnsHook,
    registeredDomain: loadRegisteredDomain,
    runHooks: (renewed) => runRenewedHooks({ files, programs: createHookPrograms(paths.renewedHooks) }, renewed),
    random: Math.random,
  };
};
