import pino, { type Logger } from 'pino';

export type Log = Logger;

/** syslog priorities (sd-daemon(3)) for pino's levels. */
const priorities: Readonly<Record<number, number>> = { 10: 7, 20: 7, 30: 6, 40: 4, 50: 3, 60: 2 };

/**
 * A log for the journal: one line per event, `<priority>` in front (sd-daemon(3)), the message first so that `journalctl` reads
 * like text, fields behind it. The journal has time and unit already. Written at once: a line that is lost on exit helps nobody.
 */
export const createJournalLog = (write: (line: string) => void, level = 'info'): Log =>
  pino(
    { level, timestamp: false, base: undefined },
    {
      write: (line: string) => {
        const { level: value, msg, ...fields } = JSON.parse(line) as { level: number; msg?: string };
        const rest = Object.entries(fields).map(([key, field]) => ` ${key}=${printable(field)}`);
        write(`<${priorities[value] ?? 6}>${(msg ?? '').replace(/\n/g, ' / ')}${rest.join('')}\n`);
      },
    },
  );

const printable = (value: unknown): string =>
  typeof value === 'string' && /^[\w./:@-]+$/.test(value) ? value : JSON.stringify(value);
