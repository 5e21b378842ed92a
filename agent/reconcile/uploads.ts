/**
 * Looks at the files about certificates that an admin put there: the pairs of sites with `tls = files`, and the CA's own root.
 * A pair that cannot be used is a problem of its site, which keeps what it has.
 */
import type { Problem } from '../core/problem.ts';
import { paths } from '../core/names.ts';
import type { Settings, SiteSpec } from '../core/spec.ts';
import { hasTls } from '../core/tls-keys.ts';
import type { Certificates, PairFiles } from '../ports.ts';
import type { Fleet } from './fleet.ts';

/** A fleet with the files of those sites whose own pair can be used. */
export interface FleetWithUploads extends Fleet {
  uploads: ReadonlyMap<string, PairFiles>;
}

const filesOf = ({ tls }: SiteSpec): PairFiles | null =>
  tls.mode === 'files' && hasTls(tls) && tls.certificate !== null && tls.key !== null
    ? { certificate: tls.certificate, key: tls.key }
    : null;

const rootsHint = "put the CA's own root certificate there, or remove the line if everybody trusts this CA";

/** What is wrong with the file that the CA's own certificate is checked by. */
const rootsProblems = async (
  { acme: { directory, caFile } }: Settings,
  certificates: Pick<Certificates, 'wrongRoots'>,
): Promise<Problem[]> => {
  const message = directory === null || caFile === null ? null : await certificates.wrongRoots(caFile);
  return message === null ? [] : [{ file: paths.settings, key: 'acme_ca_file', message, hint: rootsHint }];
};

/** Adds to a fleet which of its sites' own pairs can be used, and what is wrong with the other files about certificates. */
export const withUploads = async (
  fleet: Fleet,
  certificates: Pick<Certificates, 'wrong' | 'wrongRoots'>,
): Promise<FleetWithUploads> => {
  const problems = await rootsProblems(fleet.settings, certificates);
  const uploads = new Map<string, PairFiles>();
  for (const site of fleet.sites) {
    const files = filesOf(site);
    if (files === null) continue;
    const wrong = await certificates.wrong(files, [site.name, ...site.aliases]);
    if (wrong === null) uploads.set(site.name, files);
    else
      problems.push({
        file: site.file,
        section: 'site',
        key: wrong.file === 'key' ? 'certificate_key' : 'certificate',
        message: `${files[wrong.file]} cannot be used: ${wrong.why}`,
      });
  }
  return { ...fleet, problems: [...fleet.problems, ...problems], uploads };
};
