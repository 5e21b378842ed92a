/** The folder of sockets, which somebody may remove. */
import { paths } from '../core/names.ts';
import type { Host } from '../ports.ts';

/** Whether the way to the agent is gone; its folder is then gone as well, or was emptied. */
export const isRunFolderLost = async ({ files }: Pick<Host, 'files'>): Promise<boolean> =>
  !(await files.exists(paths.api));

/** Makes it again, by the unit of the agent's socket; an agent that runs is started again with it. Throws AF_UNIT_JOB. */
export const restoreRunFolder = ({ units }: Pick<Host, 'units'>): Promise<void> => units.tryRestart('appfleet.socket');
