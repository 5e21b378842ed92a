/** nginx's own limit is a buffer of 4,096 bytes per word (ngx_conf_file.c), quotes included. */
const longestWord = 4000;

/** Means the same with and without quotes, everywhere in a configuration file. */
const plain = /^[A-Za-z0-9_./:@%+,=*[\]-]+$/;

/** Everything but printable ASCII and the letters, marks and digits of other languages. */
const stranger = /[^\x20-\x7e\p{L}\p{M}\p{N}]/u;

/**
 * Quotes a value as one whole word of an nginx configuration file. Throws TypeError for what nginx cannot hold: control
 * characters and newlines, and `$`, which starts a variable inside of quotes as well and has no escape.
 *
 * A variable in a template must therefore be a whole word: a quote in the middle of a word is an ordinary letter to nginx.
 */
export const quoteNginx = (value: string): string => {
  const odd = stranger.exec(value)?.[0] ?? (value.includes('$') ? '$' : undefined);
  if (odd !== undefined) throw new TypeError(`nginx cannot hold ${JSON.stringify(odd)} in ${JSON.stringify(value)}`);
  const word = plain.test(value) ? value : `"${value.replace(/["\\]/g, '\\$&')}"`;
  if (Buffer.byteLength(word) > longestWord)
    throw new TypeError(`nginx cannot hold a value of ${Buffer.byteLength(word)} bytes: ${value.slice(0, 40)}...`);
  return word;
};
