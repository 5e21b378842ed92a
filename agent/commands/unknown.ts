import { nearest } from '../core/nearest.ts';
import type { Fleet } from '../reconcile/fleet.ts';
import type { Context, ExitCode } from './context.ts';

/** Says that there is no such site, and which one may be meant. */
export const unknownName = (context: Context, name: string, fleet: Fleet): ExitCode => {
  const names = [...fleet.sites, ...fleet.services].map((member) => member.name);
  if (fleet.keep.has(name)) context.complain(`${name}: its file has problems; see: appfleet check`);
  else {
    const close = nearest(name, names);
    context.complain(`there is no site ${name}${close == null ? '' : `; did you mean ${close}?`}`);
  }
  return 2;
};
