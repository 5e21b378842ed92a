/** The last look at a value before it goes into a vhost: what passed a parser and is still not of its kind throws TypeError. */

const must = (ok: boolean, what: string, value: string): string => {
  if (!ok) throw new TypeError(`${JSON.stringify(value)} is not ${what}`);
  return value;
};

/** A name for `server_name`. */
export const asName = (value: string): string =>
  must(/^(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(value), 'a domain', value);
/** An absolute path. */
export const asPath = (value: string): string => must(value.startsWith('/'), 'an absolute path', value);
/** A file's name without a folder. */
export const asFile = (value: string): string =>
  must(/^[A-Za-z0-9_][A-Za-z0-9_. -]*$/.test(value), 'a file name', value);
/** The name of a header. */
export const asHeader = (value: string): string => must(/^[A-Za-z0-9-]+$/.test(value), 'the name of a header', value);
/** A key's thumbprint (RFC 7638), which becomes a part of an answer. */
export const asThumbprint = (value: string): string => must(/^[A-Za-z0-9_-]{43}$/.test(value), 'a thumbprint', value);
/** A whole number that is not negative. */
export const asNumber = (value: number): number => {
  if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`${value} is not a whole number`);
  return value;
};
