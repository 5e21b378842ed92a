/** Names that no public CA can ever find, told without asking anybody. */

/** RFC 6761, RFC 7686, RFC 8375, RFC 9476, and what ICANN keeps out of the root (internal). */
const reserved = ['alt', 'example', 'home.arpa', 'internal', 'invalid', 'local', 'localhost', 'onion', 'test'];

/** Why the public DNS cannot have the name, as what follows the name in a sentence; null when it can. */
export const whyNotPublic = (name: string): string | null => {
  if (!name.includes('.')) return 'is a name without a dot, for which no public CA issues';
  const ending = reserved.find((one) => name.endsWith(`.${one}`));
  return ending === undefined ? null : `ends in .${ending}, which the public DNS does not have`;
};
