/** What `appfleet doctor` knows when it looks at one member. */
import type { Probe } from '../adapters/probe.ts';
import type { CertificateView } from '../core/certificate-view.ts';
import { siteUnit } from '../core/names.ts';
import type { ActiveState, ContainerState, Host } from '../ports.ts';
import type { Fleet } from '../reconcile/fleet.ts';
import type { Known } from '../reconcile/members.ts';
import type { SiteStatus } from '../reconcile/status.ts';
import type { Findings } from './finding.ts';

/** What was read once for all members. */
export interface Surroundings {
  host: Host;
  probe: Probe;
  fleet: Fleet;
  units: ReadonlyMap<string, ActiveState>;
  statuses: ReadonlyMap<string, SiteStatus>;
  containers: ReadonlyMap<string, ContainerState>;
  refusals: ReadonlyMap<string, string>;
  certificates: ReadonlyMap<string, CertificateView>;
  /** Why no request can reach a site: nginx does not run, say; null when one can. */
  closedWeb: string | null;
  /** Why containers cannot be seen; null when they can. */
  blind: string | null;
  /** Ask DNS for the site's names. */
  dns: boolean;
  /** Wake what sleeps, to see whether it answers. */
  wake: boolean;
  steady: () => number;
}

/** A member that is looked at. */
export interface Patient extends Surroundings {
  known: Known;
  status: SiteStatus;
  findings: Findings;
}

/** Whether its unit is active: what is closed is not to be reached. */
export const isOpen = ({ status, units }: Pick<Patient, 'status' | 'units'>): boolean =>
  units.get(siteUnit(status.name)) === 'active';
