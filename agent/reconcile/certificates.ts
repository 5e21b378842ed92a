/** What of certificates is on the host now, and how what a plan says about them is carried out. */
import { accountKeyOf, type ObservedCertificates } from '../core/certificate-plan.ts';
import { vhostPath } from '../core/names.ts';
import type { Problem } from '../core/problem.ts';
import { hasTls } from '../core/tls-keys.ts';
import type { SharedFacts } from '../core/vhost.ts';
import { messageOf } from '../errors.ts';
import type { Certificates, Host } from '../ports.ts';
import type { Executors } from './apply.ts';
import type { FleetWithUploads } from './uploads.ts';

/** Two looks at each site's files where nothing changed. */
export const observeCertificates = async (
  certificates: Certificates,
  { sites, uploads: wanted }: FleetWithUploads,
): Promise<ObservedCertificates> => {
  const current = new Map<string, string>();
  const uploads = new Map<string, string>();
  for (const { name, tls } of sites) {
    if (!hasTls(tls)) continue;
    const installed = await certificates.current(name);
    if (installed !== null) current.set(name, installed.folder);
    const files = wanted.get(name);
    // A file that goes away in between is a problem the next time.
    const folder = files === undefined ? null : await certificates.folderFor(name, files).catch(() => null);
    if (folder !== null) uploads.set(name, folder);
  }
  return { current, uploads, placeholder: await certificates.hasPlaceholder() };
};

/** What the shared file says about certificates; an account key that is none is a problem, and no challenge is answered. */
export const sharedFacts = async (
  host: Pick<Host, 'files' | 'certificates'>,
  { sites, keep, settings }: FleetWithUploads,
): Promise<SharedFacts & { problems: Problem[] }> => {
  let tls = sites.some((site) => hasTls(site.tls));
  // A site whose file has a problem keeps the vhost that it has.
  for (const name of keep) tls ||= (await host.files.read(vhostPath(name)).catch(() => null))?.includes('ssl') === true;
  const file = accountKeyOf(settings);
  try {
    return { tls, thumbprint: file === null ? null : await host.certificates.thumbprint(file), problems: [] };
  } catch (error) {
    return { tls, thumbprint: null, problems: [{ file: file ?? '', message: messageOf(error) }] };
  }
};

/** The executors of the steps about certificates. */
export const certificateExecutors = (
  { certificates }: Pick<Host, 'certificates'>,
  { sites, uploads }: FleetWithUploads,
): Pick<Executors, 'make-placeholder' | 'install-certificate'> => ({
  'make-placeholder': () => certificates.makePlaceholder(),
  'install-certificate': async ({ owner }) => {
    const files = uploads.get(owner);
    const aliases = sites.find(({ name }) => name === owner)?.aliases ?? [];
    if (files !== undefined) await certificates.install(owner, files, [owner, ...aliases]);
  },
});
