import { openForm } from './form.ts';
import { fileKinds, settingKeys as keys } from './keys.ts';
import type { Problem, SourceFile } from './problem.ts';
import type { Settings } from './spec.ts';

/** The agent's settings, or every problem in their file at once. An empty text gives the defaults. */
export const parseSettings = (source: SourceFile): { settings: Settings } | { problems: Problem[] } => {
  const form = openForm(source, fileKinds.settings);
  const settings: Settings = {
    parallelStarts: form.takeOr(keys.parallel_starts, 0),
    passIntervalSeconds: form.takeOr(keys.pass_interval, 0),
    httpPort: form.takeOr(keys.http_port, 0),
  };
  const problems = form.problems();
  return problems.length === 0 ? { settings } : { problems };
};
