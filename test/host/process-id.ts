import { readdirSync, readFileSync } from 'node:fs';

/** Start times count from the boot of the machine. */
const BOOT = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** A process that cannot be confused with a later one of the same number. */
export interface ProcessId {
  readonly pid: number;
  /** Boot of the machine and start time in clock ticks. */
  readonly started: string;
}

export function identify(pid: number): ProcessId | undefined {
  const stat = readStat(pid);
  return stat && { pid, started: stat.started };
}

export const ourselves = identify(process.pid)!;

export function isAlive(id: ProcessId | undefined): boolean {
  const stat = id && readStat(id.pid);
  return stat !== undefined && stat.started === id?.started && stat.state !== 'Z';
}

/** Sends a signal only when the process is still the one that was meant. */
export function signal(id: ProcessId | undefined, name: NodeJS.Signals): void {
  if (!id || !isAlive(id)) return;
  try {
    process.kill(id.pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

export function childrenOf(pid: number): number[] {
  return (readOrEmpty(`/proc/${pid}/task/${pid}/children`).match(/\d+/g) ?? []).map(Number);
}

export function commandName(pid: number): string {
  return readOrEmpty(`/proc/${pid}/comm`).trim();
}

/** The number a process has in the innermost of its PID namespaces. */
export function innerPid(pid: number): number | undefined {
  const numbers = /^NSpid:\s+(.*)$/m.exec(readOrEmpty(`/proc/${pid}/status`))?.[1]?.split(/\s+/) ?? [];
  return numbers.length > 1 ? Number(numbers.at(-1)) : undefined;
}

/** The processes that have exactly this among their arguments. */
export function processesNaming(argument: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => readOrEmpty(`/proc/${pid}/cmdline`).split('\0').includes(argument));
}

function readStat(pid: number): { state: string; started: string } | undefined {
  const text = readOrEmpty(`/proc/${pid}/stat`);
  // The name may hold blanks and parentheses: fields are counted from the last parenthesis on.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return text ? { state: fields[0]!, started: `${BOOT}/${fields[19]}` } : undefined;
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // the process ended meanwhile
  }
}
