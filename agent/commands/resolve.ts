import type { Fleet } from '../reconcile/fleet.ts';

/** The name that an admin's word stands for: a domain, an alias, or the name of a unit. A word that nobody knows stays. */
export const resolveName = (word: string, fleet: Fleet): string => {
  const name = word.toLowerCase().replace(/\.(service|socket)$/, '');
  const members = [...fleet.sites, ...fleet.services];
  if (members.some((member) => member.name === name) || fleet.keep.has(name)) return name;
  return members.find(({ aliases }) => aliases.includes(name))?.name ?? name;
};
