import dbus from 'dbus-next';
import type { Message, MessageBus } from 'dbus-next';

/** A method call on the bus; `signature` as in the D-Bus specification. */
export interface BusCall {
  destination: string;
  path: string;
  interface: string;
  member: string;
  signature?: string;
  body?: unknown[];
}

/** A signal that one of our match rules let through. */
export interface BusSignal {
  sender: string;
  path: string;
  interface: string;
  member: string;
  body: unknown[];
}

/** One connection to the bus, from its opening to its end; it never comes back. */
export interface Wire {
  /** Settles always: with the answer, with the other side's error (a BusError), or with the reason of the end. */
  call(call: BusCall): Promise<unknown[]>;
  onSignal(listener: (signal: BusSignal) => void): void;
  /** Resolves with the reason when the connection ended, whoever ended it. */
  ended: Promise<Error>;
  close(): void;
}

/** An error that the other side answered with, by its D-Bus name. */
export interface BusError extends Error {
  type: string;
  text: string;
}

export const isBusError = (error: unknown): error is BusError =>
  error instanceof Error && 'type' in error && 'text' in error;

/** What dbus-next keeps to itself: without it nobody learns that the connection ended, and calls never settle. */
interface Connection {
  on(event: 'end', listener: () => void): void;
  stream: { on(event: 'close', listener: () => void): void; destroy(): void };
}
const connectionOf = (bus: MessageBus): Connection => (bus as unknown as { _connection: Connection })._connection;

const toError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

/** Opens a connection; resolves once the bus has greeted us, rejects after `deadlineMs` or when it ends before. */
export const openWire = (address: string, deadlineMs: number): Promise<Wire> => {
  // sessionBus() is the one that takes an address; it is the same client.
  const bus = dbus.sessionBus({ busAddress: address });
  const connection = connectionOf(bus);
  const pending = new Set<(reason: Error) => void>();
  let endWith: (reason: Error) => void;
  const ended = new Promise<Error>((resolve) => {
    endWith = resolve;
  });
  void ended.then((reason) => {
    connection.stream.destroy();
    for (const reject of pending) reject(reason);
    pending.clear();
  });

  // These stay for good: an 'error' event that nobody listens to would end the process.
  bus.on('error', (error: unknown) => endWith(toError(error)));
  connection.on('end', () => endWith(new Error('the bus closed the connection')));
  connection.stream.on('close', () => endWith(new Error('the connection was closed')));

  const wire: Wire = {
    call: (call) =>
      new Promise((resolve, reject) => {
        pending.add(reject);
        bus
          .call(new dbus.Message({ ...call }))
          .then((reply) => resolve((reply?.body ?? []) as unknown[]), reject)
          .finally(() => pending.delete(reject));
      }),
    onSignal: (listener) => {
      bus.on('message', (message: Message) => {
        if (message.type === dbus.MessageType.SIGNAL) listener({ ...message, body: message.body as unknown[] });
      });
    },
    ended,
    close: () => endWith(new Error('we closed the connection')),
  };
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => endWith(new Error(`no greeting within ${deadlineMs / 1000} s`)), deadlineMs);
    bus.on('connect', () => {
      clearTimeout(timer);
      resolve(wire);
    });
    void ended.then((reason) => {
      clearTimeout(timer);
      reject(reason);
    });
  });
};
