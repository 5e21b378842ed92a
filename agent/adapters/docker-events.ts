import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { createBackoff } from '../net/backoff.ts';
import type { Timers } from '../net/timers.ts';

interface EventLine {
  Action?: string;
  status?: string;
  Actor?: { Attributes?: Record<string, string> };
}

/** The site and the action of one line of the event stream; null for a line that says nothing about a site. */
export const parseEvent = (line: string, label: string): { site: string; action: string } | null => {
  if (line.trim() === '') return null;
  const event = JSON.parse(line) as EventLine;
  const site = event.Actor?.Attributes?.[label];
  const action = event.Action ?? event.status;
  // "exec_start: sh -c ..." and "health_status: healthy" carry details after the colon.
  return site === undefined || action === undefined ? null : { site, action: action.replace(/:.*$/s, '') };
};

/**
 * Follows a stream of lines that ends now and then: `open` is called again, with growing pauses, until stop() is called.
 * Calls `onOpen` each time that it stands and `onLine` for each line.
 */
export const followLines = (options: {
  open: (signal: AbortSignal) => Promise<Readable>;
  timers: Timers;
  onOpen: () => void;
  onLine: (line: string) => void;
}): (() => void) => {
  const { open, timers, onOpen, onLine } = options;
  const backoff = createBackoff(50, 1_000);
  const abort = new AbortController();
  let callOff = (): void => undefined;

  const once = async (): Promise<void> => {
    const stream = await open(abort.signal);
    // For as long as the stream lives: when the daemon dies it emits `aborted` and `error`, which would end the process.
    stream.on('error', () => undefined);
    const destroy = (): void => {
      stream.destroy();
    };
    abort.signal.addEventListener('abort', destroy);
    if (abort.signal.aborted) destroy();
    try {
      onOpen();
      backoff.reset();
      const lines = createInterface({ input: stream, crlfDelay: Infinity });
      // readline does not end by itself when its input is torn away.
      stream.once('close', () => lines.close());
      for await (const line of lines) onLine(line);
    } finally {
      abort.signal.removeEventListener('abort', destroy);
      destroy();
    }
  };
  const run = (): void => {
    once()
      .catch(() => undefined)
      .finally(() => {
        if (!abort.signal.aborted) callOff = timers.after(backoff.next(), run);
      });
  };
  run();
  return () => {
    abort.abort();
    callOff();
  };
};
