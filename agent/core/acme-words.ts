/** What a certificate authority's refusals mean to a person. */

/** The part of an RFC 7807 document that people need; `type` without its namespace. */
export interface Refusal {
  type: string;
  detail: string;
  name: string | null;
  subproblems: readonly Refusal[];
}

const shown = 3;

/** A list of names that stays readable with a hundred of them. */
export const namesInWords = (names: readonly string[]): string =>
  names.length <= shown + 1
    ? names.join(', ')
    : `${names.slice(0, shown).join(', ')} and ${names.length - shown} more names`;

/** The refusal in one line: which name, what the CA wrote, its type in brackets. */
export const refusalInWords = (refusal: Refusal): string => {
  const own = `${refusal.name === null ? '' : `${refusal.name}: `}${refusal.detail || 'no reason given'} (${refusal.type})`;
  const parts = refusal.subproblems.slice(0, shown).map(refusalInWords);
  const rest = refusal.subproblems.length - parts.length;
  return [own, ...parts, ...(rest > 0 ? [`and ${rest} more`] : [])].join('; ');
};

const ofName = (name: string | null): string => name ?? 'the name';

/** RFC 8555 6.7 and RFC 9773 7.4, as far as somebody can do something about it. */
const advice = new Map<string, (name: string | null) => string>(
  Object.entries({
    accountDoesNotExist: () => 'the CA does not know the account any more: register again',
    alreadyRevoked: () => 'nothing is left to do',
    badSignatureAlgorithm: () => 'the account key is of a type that this CA does not take',
    caa: (name: string | null) => `a CAA record forbids this CA: dig CAA ${ofName(name)}`,
    connection: (name: string | null) =>
      `port 80 of ${ofName(name)} must be reachable from the internet: look at firewall and DNS`,
    dns: (name: string | null) => `look at the DNS records: dig A ${ofName(name)}; dig AAAA ${ofName(name)}`,
    externalAccountRequired: () =>
      'this CA wants an external account binding: it gives a key id and an HMAC key to its users',
    incorrectResponse: (name: string | null) => `something else than this host answered for ${ofName(name)}`,
    invalidContact: () => 'the CA does not take this contact address',
    invalidProfile: () => 'the CA does not have this profile for this account',
    rateLimited: () => 'nothing to do but to wait; asking more often makes it longer',
    rejectedIdentifier: (name: string | null) => `this CA does not issue for ${ofName(name)}`,
    tls: (name: string | null) => `look at what answers on port 443 of ${ofName(name)}`,
    unsupportedContact: () => 'the CA takes contacts of another kind: an e-mail address',
    unsupportedIdentifier: (name: string | null) => `this CA does not issue for names like ${ofName(name)}`,
    userActionRequired: () => "read and accept the CA's new terms at the address that it names",
  }),
);

/** What to do about a refusal; its parts, when it has any, know better than the whole. */
export const refusalHint = (refusal: Refusal): string | undefined => {
  const [first] = refusal.subproblems;
  const type = first && advice.has(first.type) ? first : refusal;
  // A challenge that failed is `unauthorized` of a name; the same word without a name is about the account.
  if (type.type === 'unauthorized')
    return type.name === null
      ? 'the account may not do this: was it deactivated, or does it belong to another key?'
      : `something else than this host answered for ${type.name}: look at its A and AAAA records`;
  return advice.get(type.type)?.(type.name);
};
