/** What a command gets from main.ts: the outside world as values and functions, so that no command reads argv, the environment or a clock. */
import type { Consul, ContainerView } from '../consul/ports.ts';
import type { ConsulSettings } from '../core/spec.ts';
import type { Templates } from '../core/template.ts';
import type { CertificateTools } from '../certificates/tools.ts';
import type { Host } from '../ports.ts';

/** 0 in sync or done, 1 a site failed, 2 usage or configuration. */
export type ExitCode = 0 | 1 | 2;

export interface ConsulTools {
  consul: Consul;
  containers: ContainerView;
  /** Name of this host. */
  hostName: string;
}

export interface Context {
  version: string;
  /** Writes a line to standard output. */
  print: (line: string) => void;
  /** Writes a line to standard error. */
  complain: (line: string) => void;
  /** Standard output is a terminal: colours are welcome. */
  colours: boolean;
  /** Standard error is a terminal: progress is welcome. */
  progress: boolean;
  /** Columns of the terminal. */
  width: number;
  /** Connects to systemd, Docker and nginx at the first call. */
  host: () => Host;
  templates: () => Templates;
  /** What a run over certificates needs; connects to nothing before it is used. */
  certificates: () => CertificateTools;
  /** Consul as the settings name it, loaded when first asked, connected to when first used; a token here wins over one in a file. */
  consul: (settings: ConsulSettings, token?: string | null) => Promise<ConsulTools>;
  /** Gives memory back that nobody needs any more; what the daemon does between two passes. */
  tidyUp: () => void;
  /** Seconds since the epoch. */
  now: () => number;
  /** Seconds on a clock that nobody sets. */
  steady: () => number;
}
