import { AppFleetError, messageOf } from '../errors.ts';
import { createBackoff } from '../net/backoff.ts';
import { createLimit } from '../net/limit.ts';
import { systemTimers, withDeadline } from '../net/timers.ts';
import type { Timers } from '../net/timers.ts';
import { isBusError, openWire } from './wire.ts';
import type { BusCall, BusSignal, Wire } from './wire.ts';

/*
 * INVARIANTS
 * - Every call settles: with the answer, with the other side's error (BusError, as it came), or with AF_BUS when the
 *   connection ended or the deadline passed.
 * - At most 64 calls are unanswered: the system bus refuses more than 128 per connection.
 * - Match rules belong in greet(): once per connection, ending with it, never per call. The bus allows 512.
 * - A lost connection is opened again, for ever, with growing pauses. Calls made meanwhile wait a moment for it.
 */

const outstandingCalls = 64;
const callDeadlineMs = 25_000;
const connectDeadlineMs = 5_000;

export type Call = (call: BusCall, deadlineMs?: number) => Promise<unknown[]>;

export interface BusListener {
  /** Prepares a new connection before anybody may use it; when it fails, the connection is given up and opened anew. */
  greet?(call: Call): Promise<void>;
  signal?(signal: BusSignal): void;
  /** The connection stands (again). Signals may have been missed before. */
  up?(): void;
  down?(reason: AppFleetError): void;
}

/** The system bus as a thing that is there, although connections to it come and go. */
export interface Bus {
  call: Call;
  /** Opens the connection if nothing did before; trouble shows in calls and listeners. */
  open(): void;
  /** Ends the present connection, so that a new one is opened and greeted. */
  reopen(): void;
  /** Listens from the next connection on. Returns the function that stops listening. */
  listen(listener: BusListener): () => void;
  close(): void;
}

export interface BusOptions {
  address?: string;
  timers?: Timers;
  open?: (address: string, deadlineMs: number) => Promise<Wire>;
}

const systemBusAddress = 'unix:path=/run/dbus/system_bus_socket';

const lost = (what: string, cause?: unknown): AppFleetError =>
  new AppFleetError('AF_BUS', what, { cause, hint: 'systemctl status dbus' });

/** Makes the bus; the connection is opened by open() or the first call and kept until close(). */
export const createBus = (options: BusOptions = {}): Bus => {
  const { address = systemBusAddress, timers = systemTimers, open: openConnection = openWire } = options;
  const limit = createLimit(outstandingCalls);
  const listeners = new Set<BusListener>();
  const waiting = new Set<(wire: Wire) => void>();
  let wire: Wire | null = null;
  let trouble: unknown = null;
  let started = false;
  let closed = false;
  let skipPause = (): void => undefined;

  const tell = (say: (listener: BusListener) => void): void => [...listeners].forEach(say);

  const callOn = (to: Wire, call: BusCall, deadlineMs: number): Promise<unknown[]> => {
    const answer = to.call(call).catch((error: unknown) => {
      throw isBusError(error) ? error : lost(`${call.member} failed: ${messageOf(error)}`, error);
    });
    return withDeadline(timers, deadlineMs, answer, () =>
      lost(`${call.destination} did not answer ${call.member} within ${deadlineMs / 1000} s`),
    );
  };

  /** One connection from its opening to its end; returns whether it ever stood. */
  const live = async (): Promise<boolean> => {
    const opened = await openConnection(address, connectDeadlineMs);
    try {
      opened.onSignal((signal) => tell((listener) => listener.signal?.(signal)));
      const call: Call = (one, deadlineMs = connectDeadlineMs) => callOn(opened, one, deadlineMs);
      for (const listener of [...listeners]) await listener.greet?.(call);
      if (closed) throw new Error('closed meanwhile');
    } catch (error) {
      opened.close();
      throw error;
    }
    wire = opened;
    tell((listener) => listener.up?.());
    for (const resolve of waiting) resolve(opened);
    waiting.clear();
    trouble = await opened.ended;
    wire = null;
    tell((listener) => listener.down?.(lost(`the system bus was lost: ${messageOf(trouble)}`, trouble)));
    return true;
  };

  const pause = (milliseconds: number): Promise<void> =>
    new Promise((resolve) => {
      const callOff = timers.after(milliseconds, resolve);
      skipPause = () => {
        callOff();
        resolve();
      };
    });

  const run = async (): Promise<void> => {
    const backoff = createBackoff(50, 1_000);
    while (!closed) {
      const stood = await live().catch((error: unknown) => {
        trouble = error;
        return false;
      });
      if (stood) backoff.reset();
      if (!closed) await pause(backoff.next());
    }
  };

  const open = (): void => {
    if (started) return;
    started = true;
    void run();
  };

  /** The present connection, or the next one if it comes soon enough. */
  const connected = (): Promise<Wire> => {
    if (closed) return Promise.reject(lost('the connection to the system bus was closed'));
    open();
    if (wire) return Promise.resolve(wire);
    let mine: ((wire: Wire) => void) | undefined;
    const next = new Promise<Wire>((resolve) => {
      mine = resolve;
      waiting.add(resolve);
    });
    return withDeadline(timers, connectDeadlineMs, next, () => {
      if (mine) waiting.delete(mine);
      return lost(`the system bus at ${address} cannot be reached: ${messageOf(trouble)}`, trouble);
    });
  };

  return {
    open,
    call: async (call, deadlineMs = callDeadlineMs) => {
      await connected();
      // Asked again inside: the connection may have gone while this call waited for its place.
      return limit(async () => callOn(await connected(), call, deadlineMs));
    },
    reopen: () => wire?.close(),
    listen: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => {
      closed = true;
      skipPause();
      wire?.close();
    },
  };
};
