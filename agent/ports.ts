/** What we need from the machine, in our own words. Each adapter implements one of these; nothing else crosses the line. */
import type { CertificateState, CurrentCertificate } from './core/certificate.ts';
import type { NginxFacts } from './core/listen.ts';
import type { VhostCandidate } from './core/vhost.ts';

/** A file that we generated or are about to. */
export interface GeneratedFile {
  path: string;
  text: string;
  mode: number;
}

export interface Files {
  /** Text of a file, or null when there is none. Throws AF_FILE for anything else (permission, a folder of that name). */
  read(path: string): Promise<string | null>;
  /** Says of a file, links followed, whether it changed: another text then. Null when it is absent, or changed so lately that it may change unseen. */
  stamp(path: string): Promise<string | null>;
  /** Whether there is anything of that name, links not followed. */
  exists(path: string): Promise<boolean>;
  /** Names in a folder; empty when the folder does not exist. */
  list(directory: string): Promise<string[]>;
  /** Replaces the file as a whole (temporary file, fsync, rename) when text or mode differ. Throws AF_FILE; the old file is then untouched. */
  write(file: GeneratedFile): Promise<'written' | 'unchanged'>;
  /** Makes a folder, or gives one that exists, this mode; parents that are missing get the usual one. Throws AF_FILE. */
  makeFolder(path: string, mode: number): Promise<void>;
  /** Removes a file, a link or an empty folder; absent is fine. */
  remove(path: string): Promise<void>;
  /** Removes a folder and all that is in it, following no link; absent is fine. */
  removeTree(path: string): Promise<void>;
  /** Points a symbolic link at a target in one rename(2). */
  link(path: string, target: string): Promise<void>;
  /** Target of a symbolic link, or null when there is none. */
  readLink(path: string): Promise<string | null>;
  /** Seconds since the epoch of the last access, or null when the path does not exist. Re-arms access times on relatime mounts. */
  lastAccess(path: string): Promise<number | null>;
}

export type ActiveState =
  'active' | 'activating' | 'deactivating' | 'inactive' | 'failed' | 'reloading' | 'maintenance';

export interface UnitState {
  name: string;
  active: ActiveState;
  sub: string;
}

export interface UnitDetail {
  /** Seconds since the epoch when the unit entered its present state; null when it never ran. */
  since: number | null;
  restarts: number;
  mainPid: number;
}

export interface ServiceManager {
  /** Units in memory whose name matches one of the patterns (glob(7)). */
  list(patterns: readonly string[]): Promise<UnitState[]>;
  detail(unit: string): Promise<UnitDetail>;
  /** Runs the job to its end. Throws AF_UNIT_JOB with systemd's result when it is anything but `done`. */
  start(unit: string): Promise<void>;
  stop(unit: string): Promise<void>;
  /** Restarts the unit if it is running, does nothing otherwise. */
  tryRestart(unit: string): Promise<void>;
  /** Clears the failed state and the start counter. */
  resetFailed(unit: string): Promise<void>;
  /** Makes systemd read changed unit files again (daemon-reload). */
  reload(): Promise<void>;
  /** Calls back, possibly often, when a unit changed and, with null, when the bus came back (changes were missed). Returns an unsubscriber. */
  watch(onChange: (unit: string | null) => void): Promise<() => void>;
  close(): void;
}

export interface ContainerState {
  name: string;
  /** Value of our site label. */
  site: string;
  /** Value of our spec label: hash of the create body that it was made from. */
  spec: string;
  running: boolean;
  /** Frozen by `docker pause`: it is up and answers nobody. */
  paused: boolean;
  imageId: string;
}

export interface ContainerEngine {
  /** Every container that carries our label, running or not. Throws AF_DOCKER. */
  list(): Promise<ContainerState[]>;
  /** Whether the image is on this host. */
  hasImage(image: string): Promise<boolean>;
  /** Pulls an image, reporting progress as lines for people. Throws AF_DOCKER with the registry's words. */
  pull(image: string, onProgress: (line: string) => void): Promise<void>;
  /** Removes a container that carries our label, stopped or not; absent is fine. */
  remove(name: string): Promise<void>;
  /** Bytes of memory in use by a running container, its caches excepted; null when unknown. */
  memory(name: string): Promise<number | null>;
  /** Version and API version of the engine. */
  version(): Promise<{ version: string; api: string }>;
  /** Calls back for each event of a container of ours and whenever the stream (re)opened (site null: events were missed). */
  watch(onChange: (event: { site: string | null; action: string }) => void): () => void;
  /** Calls back when an image came to this host, in whatever way, or may have come unseen. */
  watchImages(onChange: () => void): () => void;
}

export interface VhostRefusal {
  site: string;
  /** What nginx said, with the place in the file that the admin wrote where there is one. */
  message: string;
}

/** What nginx would refuse. */
export interface VhostProblem {
  site: string;
  /** The file that the admin wrote: the snippet that nginx stumbled over, else the site's. */
  file: string;
  /** Only where nginx named a line of that file. */
  line?: number;
  message: string;
}

export interface VhostChanges {
  change: readonly VhostCandidate[];
  /** Sites whose vhost goes. */
  remove: readonly string[];
  /** New text of the shared file, or null when it is as it should be. */
  shared: string | null;
}

export interface WebServer {
  /** The installed nginx and what its admin configured. Throws AF_NGINX when there is none. */
  facts(): Promise<NginxFacts>;
  /** Those of the TCP ports that nginx cannot have because another program listens on them, with its name and process. */
  takenPorts(ports: readonly number[]): Promise<ReadonlyMap<number, string>>;
  /**
   * What has to change so that exactly the candidates are installed, except for the sites in `keep`. Leaves out what nginx refused
   * before, as long as nothing changed that could make it think again. Nothing on the host is changed.
   */
  compare(candidates: readonly VhostCandidate[], shared: string, keep: ReadonlySet<string>): Promise<VhostChanges>;
  /**
   * Tests the changes apart, installs those that pass, keeps the last good version of those that fail. Does not reload.
   * Throws AF_NGINX, with nothing changed, when nginx refuses files that are not of ours.
   */
  install(changes: VhostChanges): Promise<VhostRefusal[]>;
  /**
   * Tests the changes as `install` does, apart from what is installed and from an install under way, and changes nothing. Throws
   * AF_FILE when this process may not (it takes root), AF_NGINX as `install` does.
   */
  rehearse(changes: VhostChanges): Promise<VhostProblem[]>;
  /** Whether what nginx has loaded differs from what is installed; true also when nginx does not run. */
  needsReload(): Promise<boolean>;
  /** Makes nginx load what is installed, waits until new workers serve, and records what was loaded. Throws AF_NGINX. */
  reload(): Promise<void>;
  /** Refusals that stand: the site serves an older version than its file asks for, or one without its snippets. */
  refusals(): Promise<VhostRefusal[]>;
}

/** A certificate that is installed. */
export interface CertificateInUse extends CurrentCertificate {
  /** Folder of chain and key, which never change in it. */
  folder: string;
  issuer: string;
  selfSigned: boolean;
}

/** A chain, leaf first, and the key of the leaf: files in PEM that an admin put somewhere. */
export interface PairFiles {
  certificate: string;
  key: string;
}

/** The certificates that lie on this host. All looks are cheap where nothing changed. */
export interface Certificates {
  /** The site's certificate in use; null while it has none and the placeholder stands in. */
  current(site: string): Promise<CertificateInUse | null>;
  /** What is noted of the site's certificate: failures, names that it goes without, when the CA wants it renewed. */
  state(site: string): Promise<CertificateState>;
  /** What keeps the files from being a certificate for these names now, and which of them; null: nothing does. */
  wrong(files: PairFiles, names: readonly string[]): Promise<{ file: keyof PairFiles; why: string } | null>;
  /** Folder that the pair in the files would get if it was installed now; null when it is the one in use. Throws as `install`. */
  folderFor(site: string, files: PairFiles): Promise<string | null>;
  /** Puts a copy of the pair into use. Throws AF_CERTIFICATE and AF_FILE; what was in use then still is. */
  install(site: string, files: PairFiles, names: readonly string[]): Promise<void>;
  /** What keeps a file from being the authorities that a CA's own certificate is checked by; null: nothing does. */
  wrongRoots(path: string): Promise<string | null>;
  /** Whether the self-signed pair is there and whole. */
  hasPlaceholder(): Promise<boolean>;
  makePlaceholder(): Promise<void>;
  /** RFC 7638 thumbprint of the account key in a file; null when there is none. Throws AF_CERTIFICATE when it is no key. */
  thumbprint(keyPath: string): Promise<string | null>;
}

export interface Host {
  files: Files;
  units: ServiceManager;
  containers: ContainerEngine;
  web: WebServer;
  certificates: Certificates;
  /** Seconds since the epoch. */
  now(): number;
}
