/** What is wrong with the admin's files: by what we know ourselves, and by what nginx says. */
import { paths } from '../core/names.ts';
import type { Problem } from '../core/problem.ts';
import { AppFleetError, inWords, messageOf } from '../errors.ts';
import type { Host } from '../ports.ts';
import { createFleetReader } from '../reconcile/fleet.ts';
import { createReconciler } from '../reconcile/reconcile.ts';
import { strayProblems } from '../reconcile/snippets.ts';
import { withUploads } from '../reconcile/uploads.ts';
import type { Context } from './context.ts';

/** All that can be known without nginx. */
export const fileProblems = async ({
  files,
  certificates,
}: Pick<Host, 'files' | 'certificates'>): Promise<Problem[]> => {
  const fleet = await withUploads(await createFleetReader(files)(), certificates);
  return [...fleet.problems, ...(await strayProblems(files, fleet))];
};

/**
 * Has nginx test the vhosts that the files ask for, apart from those that are installed. `only`: sites whose problems are wanted.
 * Where it cannot be asked, `unasked` says why.
 */
export const askNginx = async (
  context: Pick<Context, 'templates'>,
  host: Host,
  only: ReadonlySet<string> | null = null,
): Promise<{ problems: Problem[]; unasked: string | null }> => {
  try {
    await host.web.facts();
  } catch (error) {
    return { problems: [], unasked: messageOf(error) };
  }
  try {
    const { refusals } = await createReconciler(host, context.templates(), () => '').rehearse();
    const wanted = refusals.filter(({ site }) => only === null || only.has(site));
    return {
      problems: wanted.map(({ file, line, message }) => ({ file, message, ...(line === undefined ? {} : { line }) })),
      unasked: null,
    };
  } catch (error) {
    if (!(error instanceof AppFleetError)) throw error;
    if (error.code === 'AF_NGINX')
      return { problems: [{ file: paths.vhosts, message: inWords(error) }], unasked: null };
    return { problems: [], unasked: error.message };
  }
};
