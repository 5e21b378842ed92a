/** In which state a site is, from what systemd and the switch say. Nothing is remembered. */
import type { MemberState } from '../core/member-state.ts';
import type { ActiveState } from '../ports.ts';

/** What units/launch leaves behind when a start failed or the container ended with an error. */
export interface Failure {
  count: number;
  reason: string;
}

/** Reads the file `failed`: failures in a row, uptime of the next try, reason. */
export const parseFailure = (text: string | null): Failure | null => {
  const match = /^(\d+) [\d.]+ (.*)$/m.exec(text ?? '');
  return match === null ? null : { count: Number(match[1]), reason: match[2] ?? '' };
};

export interface StateFacts {
  /** Whether the member has a container; a static site has none. */
  container: boolean;
  facade: ActiveState | undefined;
  app: ActiveState | undefined;
  failure: Failure | null;
  /** Whether it was opened once; after that it is the admin's choice. */
  opened: boolean;
  /** Whether its file has a mistake. */
  refused: boolean;
}

export const stateOf = ({ container, facade, app, failure, opened, refused }: StateFacts): MemberState => {
  const open = facade === 'active' || facade === 'activating' || facade === 'reloading';
  const closed = opened ? 'stopped' : refused ? 'refused' : 'not applied';
  if (!container) return open ? 'served' : closed;
  // What is tidied up after a failed start was never awake.
  if (app === 'deactivating') return open && failure !== null ? 'failed' : 'sleeping';
  if (app === 'activating') return failure !== null && failure.count > 1 ? 'failed' : 'waking';
  if (!open) return closed;
  if (app === 'active' || app === 'reloading') return 'awake';
  return app === 'failed' || failure !== null ? 'failed' : 'asleep';
};

/** One start, as units/launch appends it to the file `wakes`. */
export interface Wake {
  /** Seconds since boot. */
  at: number;
  /** Seconds until the container took requests. */
  seconds: number;
}

export const parseWakes = (text: string | null): Wake[] =>
  (text ?? '').split('\n').flatMap((line) => {
    const match = /^([\d.]+) ([\d.]+)$/.exec(line);
    return match === null ? [] : [{ at: Number(match[1]), seconds: Number(match[2]) }];
  });
