export const RELEASES = ['trixie', 'bookworm'] as const;
export type Release = (typeof RELEASES)[number];

const NUMBERS: Readonly<Record<Release, string>> = { trixie: '13', bookworm: '12' };

export function releaseNumber(release: Release): string {
  return NUMBERS[release];
}

/** Accepts what people write: 13, trixie. */
export function parseRelease(text: string): Release {
  const release = RELEASES.find((name) => name === text || NUMBERS[name] === text);
  if (!release) throw new Error(`unknown release '${text}': use ${Object.values(NUMBERS).join(' or ')}`);
  return release;
}

export function defaultHostName(release: Release): string {
  return `appfleet-${NUMBERS[release]}`;
}
