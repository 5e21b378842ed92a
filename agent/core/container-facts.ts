/** What Docker tells of any container of the host, as far as the words of older tools are about it. */
export interface PublishedPort {
  /** Port in the container. */
  exposed: number;
  protocol: 'tcp' | 'udp';
  /** Where it is reached on the host; null when it is not published. */
  host: { address: string; port: number } | null;
}

export interface ContainerFacts {
  /** All 64 digits. */
  id: string;
  name: string;
  /** As it was asked for: `repository/image:tag`. */
  image: string;
  imageId: string;
  /** `NAME=value` as Docker has them. */
  env: readonly string[];
  labels: Readonly<Record<string, string>>;
  /** Its own address; empty when it has none. */
  address: string;
  ports: readonly PublishedPort[];
  /** Docker's whole answer. */
  inspected: Readonly<Record<string, unknown>>;
}

/** Variables, then labels: where both have a name, the label counts. Names may hold anything but `=`. */
export const wordsOf = ({ env, labels }: ContainerFacts): [name: string, value: string][] => [
  ...env.flatMap((one): [string, string][] => {
    const equals = one.indexOf('=');
    return equals < 0 ? [] : [[one.slice(0, equals), one.slice(equals + 1)]];
  }),
  ...Object.entries(labels),
];
