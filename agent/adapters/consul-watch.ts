/** Follows the keys below a folder by blocking queries, one at a time, on a connection of their own. */
import { messageOf } from '../errors.ts';
import { createBackoff } from '../net/backoff.ts';
import { systemTimers } from '../net/timers.ts';
import type { KeyAnswer, Wire } from './consul-wire.ts';

/** A Consul that hangs is noticed after this time and a tenth. */
const waitSeconds = 30;

/** Values of keys by what follows the folder in their names. */
export const belowFolder = (folder: string, keys: readonly KeyAnswer[] | undefined): Map<string, Uint8Array> =>
  new Map((keys ?? []).map(({ Key, Value }) => [Key.slice(folder.length), Value ?? Buffer.alloc(0)]));

export const watchFolder = (
  open: () => Promise<Wire>,
  folder: string,
  onValues: (values: Map<string, Uint8Array>) => void,
  onTrouble: (error: unknown) => void,
): (() => void) => {
  const backoff = createBackoff(500, 30_000);
  let end = (): void => undefined;
  let stopped = false;

  const again = (error: unknown): void => {
    end();
    end = () => undefined;
    if (stopped) return;
    onTrouble(error);
    end = systemTimers.after(backoff.next(), () => void begin());
  };

  /** The package would go on with the token that was refused, so each failure is a new beginning. */
  const begin = async (): Promise<void> => {
    try {
      const wire = await open();
      if (stopped) return wire.destroy();
      const options = { key: folder, recurse: true, buffer: true, wait: `${waitSeconds}s` } as const;
      const watch = wire.watch({ method: (query) => wire.kv.get(query), options });
      end = () => {
        watch.end();
        wire.destroy();
      };
      watch.on('error', again);
      watch.on('change', (keys) => {
        backoff.reset();
        onValues(belowFolder(folder, keys));
      });
    } catch (error) {
      again(messageOf(error));
    }
  };
  void begin();
  return () => {
    stopped = true;
    end();
  };
};
