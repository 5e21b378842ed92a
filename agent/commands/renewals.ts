/**
 * Starts a run over certificates when a site needs one. The run is a unit of its own, so that nothing of it is in the daemon's
 * memory, systemd sees to it that there is one at a time, and killing the daemon kills no order.
 */
import type { Log } from '../adapters/journal.ts';
import { ledgerFile } from '../core/names.ts';
import { mayOrder, parseLedger } from '../core/budget.ts';
import { dueOf } from '../core/due.ts';
import { messageOf } from '../errors.ts';
import type { Host } from '../ports.ts';
import type { Fleet } from '../reconcile/fleet.ts';
import { wantedSites } from '../core/wanted-sites.ts';

export const renewUnit = 'appfleet-renew.service';
/** A run that could do nothing about a site, because a budget is used up for instance, is not repeated at every pass. */
const againSeconds = 600;

export interface Renewals {
  /** Looks what is due after a pass; starts a run when something is. Never throws. */
  look(fleet: Fleet): Promise<void>;
}

export const createRenewals = (host: Host, clocks: { now: () => number; steady: () => number }, log: Log): Renewals => {
  let running = false;
  let last: { sites: string; at: number } | null = null;

  const dueSites = async ({ sites, settings }: Fleet): Promise<string[]> => {
    const { directory } = settings.acme;
    if (directory === null) return [];
    const ledger = parseLedger(await host.files.read(ledgerFile(directory)));
    const none = { limits: null, registered: () => null };
    if (mayOrder(ledger, { names: [], replaces: true }, none, clocks.now()) !== null) return [];
    const due: string[] = [];
    for (const wanted of wantedSites(sites)) {
      const { site } = wanted;
      const [current, state] = [await host.certificates.current(site), await host.certificates.state(site)];
      if (dueOf(wanted, current, state, clocks.now()).due) due.push(site);
    }
    return due;
  };

  const run = async (): Promise<void> => {
    running = true;
    try {
      await host.units.start(renewUnit);
    } catch (error) {
      log.warn(`certificates: ${messageOf(error)}; see: journalctl -u ${renewUnit}`);
    } finally {
      running = false;
    }
  };

  return {
    look: async (fleet) => {
      if (running) return;
      try {
        const due = await dueSites(fleet);
        const sites = due.join(' ');
        if (due.length === 0 || (last?.sites === sites && clocks.steady() - last.at < againSeconds)) return;
        last = { sites, at: clocks.steady() };
        log.info(
          `certificates are due: ${due.slice(0, 3).join(', ')}${due.length > 3 ? ` and ${due.length - 3} more` : ''}`,
        );
        void run();
      } catch (error) {
        log.warn(`certificates cannot be looked at: ${messageOf(error)}`);
      }
    },
  };
};
