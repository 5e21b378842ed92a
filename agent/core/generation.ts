/** Names of the folders that hold a chain and its key, and how long those of sites that are gone stay. Times: seconds since the epoch. */
import { parseFields } from './certificate.ts';

/** `YYYYMMDDTHHMMSSZ-` and 8 hex digits of the leaf's sha256. */
export const generationName = (now: number, fingerprint: string): string =>
  `${new Date(Math.floor(now) * 1000)
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replace(/[-:]/g, '')}-${fingerprint.slice(0, 8)}`;

const form = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-[0-9a-f]{8}$/;

/** When the generation was installed, or null when that is no name of a generation. */
export const generationTime = (name: string): number | null => {
  const [, year, month, date, hours, minutes, seconds] = form.exec(name) ?? [];
  const time = Date.parse(`${year}-${month}-${date}T${hours}:${minutes}:${seconds}Z`);
  return Number.isNaN(time) ? null : time / 1000;
};

const hour = 3600;
/** Whether somebody may be at work in it still. */
export const isYoung = (name: string, now: number): boolean => Math.abs(now - (generationTime(name) ?? 0)) < hour;

const day = 86_400;
/** So long the certificates of a site that is gone are kept. */
export const keptWhenGone = 30 * day;

/**
 * One more look at a site that is gone, with what the last one wrote (null: this is the first). Adds up the time between looks,
 * a day at most: a clock that jumps by a year removes nothing.
 */
export const lookAtGone = (before: string | null, now: number): { text: string; over: boolean } => {
  const { gone, seen } = parseFields(before);
  const sound = typeof gone === 'number' && typeof seen === 'number' && gone >= 0;
  const total = sound ? gone + Math.min(day, Math.max(0, now - seen)) : 0;
  return { text: `${JSON.stringify({ gone: total, seen: now })}\n`, over: total >= keptWhenGone };
};
