export type Version = readonly [major: number, minor: number, patch: number];

/** What vhosts depend on about the nginx of this host. */
export interface NginxFacts {
  version: Version;
  /** Whether the host has IPv6; without it nginx refuses to listen on [::]. */
  ipv6: boolean;
  /** Directives that the admin's own files set for all of nginx and that must not be set twice. */
  configured: ReadonlySet<string>;
}

/** Whether a version is the second one or a later one. */
export const isAtLeast = (version: Version, [major, minor, patch]: Version): boolean =>
  version[0] !== major ? version[0] > major : version[1] !== minor ? version[1] > minor : version[2] >= patch;

export interface ListenLines {
  listens: { address: string; options: { option: string }[] }[];
  /** Whether `http2 on` is to be said apart. */
  http2: boolean;
}

/** How a server of this nginx listens on a port. From 1.25.1 on HTTP/2 has a directive of its own and warns about the old form. */
export const listenLines = (
  nginx: NginxFacts,
  { port, tls, isDefault = false }: { port: number; tls: boolean; isDefault?: boolean },
): ListenLines => {
  const apart = isAtLeast(nginx.version, [1, 25, 1]);
  const options = [...(isDefault ? ['default_server'] : []), ...(tls ? (apart ? ['ssl'] : ['ssl', 'http2']) : [])];
  const addresses = nginx.ipv6 ? [String(port), `[::]:${port}`] : [String(port)];
  return {
    listens: addresses.map((address) => ({ address, options: options.map((option) => ({ option })) })),
    http2: tls && apart,
  };
};
