/** The real things that a run over certificates is made of. */
import { runRenewedHooks } from '../certificates/hooks.ts';
import type { X509 } from '../certificates/ports.ts';
import { readRoots } from '../certificates/roots.ts';
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
    throw new AppFleetError('AF_CONFIG', `${paths.settings}: ${key}: there is no file ${path}`, {
      hint: 'see: appfleet help settings',
    });
  return text;
};

const rootsIn = async (files: Files, x509: X509, path: string): Promise<string> => {
  const { pem, wrong } = await readRoots(files, x509, path);
  if (pem === null)
    throw new AppFleetError('AF_CONFIG', `${paths.settings}: acme_ca_file: ${wrong}`, {
      hint: "put the CA's own root certificate there, or remove the line if everybody trusts this CA",
    });
  return pem;
};

export const createCertificateTools = (files: Files): CertificateTools => {
  const x509 = createX509();
  return {
    x509,
    store: createStore(files, x509),
    authority: async ({ directory, caFile, contacts, binding, account }) =>
      createAcme({
        directoryUrl: directory,
        ca: caFile === null ? null : { file: caFile, pem: await rootsIn(files, x509, caFile) },
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
