/** The nginx that runs: its master, its workers, and what it says about a reload. */
import { openSync, closeSync, readFileSync, readSync, statSync } from 'node:fs';
import { AppFleetError } from '../errors.ts';

export interface Process {
  pid: number;
  /** Clock ticks since boot: a process is told from a later one of the same number by this. */
  started: string;
  title: string;
}

const readText = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
};

const processOf = (pid: number): Process | null => {
  const stat = readText(`/proc/${pid}/stat`);
  const title = readText(`/proc/${pid}/cmdline`);
  if (stat === null || title === null) return null;
  // The second field is the command in parentheses and may hold blanks and parentheses itself; the 22nd is the start time.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { pid, started: fields[19] ?? '', title: title.replaceAll('\0', ' ').trim() };
};

/** The running master, or null. A pid file that outlived its nginx names nobody, or somebody else. */
export const findMaster = (pidFile: string): Process | null => {
  const pid = Number(readText(pidFile)?.trim());
  if (!Number.isSafeInteger(pid) || pid <= 1) return null;
  const found = processOf(pid);
  return found?.title.startsWith('nginx: master process') ? found : null;
};

const workersOf = (master: Process): Process[] =>
  (readText(`/proc/${master.pid}/task/${master.pid}/children`) ?? '')
    .split(' ')
    .filter((pid) => pid.trim() !== '')
    .map((pid) => processOf(Number(pid)))
    .filter((found) => found !== null)
    .filter(({ title }) => title.startsWith('nginx: worker process'));

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

const tailFrom = (path: string, offset: number): string => {
  const size = sizeOf(path);
  // Rotated meanwhile: everything in it is new.
  const start = size < offset ? 0 : offset;
  if (size === start) return '';
  const fd = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(Math.min(size - start, 1024 * 1024));
    return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, start));
  } finally {
    closeSync(fd);
  }
};

const pause = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds));

/**
 * Makes the master read its configuration again and waits until only workers with the new one take requests.
 * Throws AF_NGINX when the master refuses, dies, or takes longer than the limit.
 */
export const reloadMaster = async (master: Process, errorLog: string, limitSeconds: number): Promise<void> => {
  const isOld = new Set(workersOf(master).map(({ pid, started }) => `${pid} ${started}`));
  const offset = sizeOf(errorLog);
  try {
    process.kill(master.pid, 'SIGHUP');
  } catch (cause) {
    throw new AppFleetError('AF_NGINX', `nginx (process ${master.pid}) cannot be told to reload`, { cause });
  }
  const end = performance.now() + limitSeconds * 1000;
  for (let wait = 5; performance.now() < end; wait = Math.min(wait * 1.5, 100)) {
    await pause(wait);
    const workers = workersOf(master).map((worker) => ({
      old: isOld.has(`${worker.pid} ${worker.started}`),
      leaving: worker.title.includes('shutting down'),
    }));
    // An old worker goes on taking requests until the master told it to leave, a moment after the new ones started.
    if (workers.some(({ old }) => !old) && workers.every(({ old, leaving }) => !old || leaving)) return;
    const complaint = tailFrom(errorLog, offset)
      .split('\n')
      .find((line) => line.includes(`[emerg] ${master.pid}#`));
    if (complaint !== undefined)
      throw new AppFleetError(
        'AF_NGINX',
        `nginx refused to load its configuration: ${complaint.replace(/^.*?: /, '')}`,
        {
          hint: 'it goes on with the old one; "nginx -t" shows what is wrong',
        },
      );
    if (processOf(master.pid)?.started !== master.started)
      throw new AppFleetError('AF_NGINX', 'nginx ended while it reloaded', { hint: 'systemctl start nginx' });
  }
  throw new AppFleetError('AF_NGINX', `nginx did not start new workers within ${limitSeconds} s of a reload`, {
    hint: `see ${errorLog}`,
  });
};
