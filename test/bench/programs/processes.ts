/** All processes of the host with the memory that is theirs alone. */
import { readdirSync, readFileSync } from 'node:fs';
import { program } from './report.ts';

export interface ProcessMemory {
  pid: number;
  parent: number;
  command: string;
  cgroup: string;
  /** Bytes that would be free again if it ended. */
  private: number;
  resident: number;
}

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // it has just ended
  }
};

const kilobytes = (text: string, key: string): number =>
  Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;

program((): Promise<ProcessMemory[]> => {
  const found = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid): ProcessMemory => {
      const memory = read(`/proc/${pid}/smaps_rollup`);
      return {
        pid: Number(pid),
        parent: Number(/^PPid:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1]),
        command: read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim(),
        cgroup: read(`/proc/${pid}/cgroup`),
        private: kilobytes(memory, 'Private_Clean') + kilobytes(memory, 'Private_Dirty'),
        resident: kilobytes(memory, 'Rss'),
      };
    })
    .filter(({ command }) => command !== '');
  return Promise.resolve(found);
});
