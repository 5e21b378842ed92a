import { duration } from '../core/duration.ts';

/** How long ago an ISO 8601 time was; empty for null. */
export const since = (time: string | null, now: number): string =>
  time === null ? '' : duration(now - Date.parse(time) / 1000);

/** Bytes as people say them: `812 KB`, `43 MB`, `1.2 GB`. */
export const bytes = (count: number | null): string => {
  if (count === null) return '';
  if (count < 1e6) return `${Math.ceil(count / 1e3)} KB`;
  return count < 1e9 ? `${Math.round(count / 1e6)} MB` : `${(count / 1e9).toFixed(1)} GB`;
};
