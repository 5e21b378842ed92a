/** Tests changes of vhosts for somebody who only wants to know: nothing that the agent works with is written to. */
import { accessSync, constants, mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { VhostCandidate } from '../core/vhost.ts';
import { AppFleetError } from '../errors.ts';
import type { VhostChanges, VhostProblem } from '../ports.ts';
import { contest, type InstallPlace, isForeign } from './nginx-install.ts';
import type { Installed } from './nginx-installed.ts';
import { refusalPlace } from './nginx-refusals.ts';
import { type Run, trialPath } from './nginx-test.ts';

/** The agent drops copies that no vhost includes: ours lie apart. */
const withCopiesIn = (folder: string, candidate: VhostCandidate): VhostCandidate => {
  const moved = candidate.snippets.map((snippet) => ({ ...snippet, copy: join(folder, basename(snippet.copy)) }));
  const text = candidate.snippets.reduce(
    (all, { copy }) => all.replaceAll(copy, () => join(folder, basename(copy))),
    candidate.text,
  );
  return { ...candidate, text, plainText: candidate.plainText, snippets: moved };
};

/** Throws AF_FILE where this process is not root, and as settle does. */
export const rehearseChanges = async (
  run: Run,
  place: InstallPlace,
  installed: ReadonlyMap<string, Installed>,
  changes: VhostChanges,
): Promise<VhostProblem[]> => {
  const folder = `${dirname(place.folder)}/check-${process.pid}`;
  try {
    accessSync(dirname(place.main), constants.W_OK);
    mkdirSync(dirname(place.folder), { recursive: true });
    accessSync(dirname(place.folder), constants.W_OK);
  } catch (cause) {
    throw new AppFleetError('AF_FILE', 'only root can have nginx test vhosts', { cause });
  }
  // A name that the fingerprint of nginx's folder leaves out: else the agent would try again what nginx refused.
  const at = { ...place, folder, copies: folder, trial: trialPath(place.main, `.appfleet-check-${process.pid}.conf`) };
  const change = changes.change.map((candidate) => withCopiesIn(folder, candidate));
  const problems: VhostProblem[] = [];
  const writeCopies = (): Promise<void> => {
    for (const { copy, text } of change.flatMap(({ snippets }) => snippets)) writeFileSync(copy, text, { mode: 0o600 });
    return Promise.resolve();
  };
  await contest(run, at, installed, { ...changes, change }, writeCopies, ({ contestants, candidates, foreign }) => {
    for (const { site, source } of change)
      if (foreign.has(site)) problems.push({ site, file: source, message: isForeign(place.vhosts, site) });
    for (const contestant of contestants) {
      const found = refusalPlace(contestant, candidates.get(contestant.site));
      if (found !== null) problems.push({ site: contestant.site, ...found });
    }
    return Promise.resolve();
  });
  return problems;
};
