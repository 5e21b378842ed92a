/** `appfleet retire`: takes away what was made on this host, as the package does before it goes. */
import { paths } from '../core/names.ts';
import { AppFleetError } from '../errors.ts';
import { acquire } from '../net/lock.ts';
import { outcomeOf, stepLine } from '../reconcile/outcome.ts';
import { createReconciler } from '../reconcile/reconcile.ts';
import type { Context, ExitCode } from './context.ts';
import { printStep } from './outcome.ts';
import { newPassword } from './secret.ts';

/**
 * Closes all sites and shared containers and removes their units, vhosts and containers. Files in /etc/appfleet, docroots,
 * volumes, certificates and the account with the CA stay; a later `appfleet apply` makes everything again. Exit code 1: something could
 * not be taken away; 2: nobody agreed. Throws AF_LOCKED while the agent runs: it would make everything again.
 */
export const retireCommand = async (context: Context, options: { yes: boolean }): Promise<ExitCode> => {
  if (!options.yes) {
    context.complain('this closes every site of this host; `appfleet retire --yes` does it');
    return 2;
  }
  const release = await acquire();
  if (release === null)
    throw new AppFleetError('AF_LOCKED', 'the agent runs', {
      hint: 'systemctl disable --now appfleet.service appfleet.socket appfleet-renew.timer',
    });
  try {
    const host = context.host();
    const report = await createReconciler(host, context.templates(), newPassword).apply({
      width: 32,
      clock: context.steady,
      onProgress: (line) => context.progress && context.complain(line),
      onResult: (result) => printStep(context, stepLine(result)),
      nothing: true,
    });
    const { failed, skipped } = outcomeOf(report);
    // What is left of them still needs it.
    if (failed + skipped > 0) return 1;
    await host.files.remove(paths.sharedVhost);
    await host.web.reload();
    context.print(`Nothing is left of the sites but what is yours: ${paths.config}, docroots and volumes.`);
    return 0;
  } finally {
    await release();
  }
};
