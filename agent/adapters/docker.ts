import Docker from 'dockerode';
import type { Readable } from 'node:stream';
import { createInterface } from 'node:readline';
import { labels } from '../core/names.ts';
import { AppFleetError, messageOf } from '../errors.ts';
import { createLimit } from '../net/limit.ts';
import { systemTimers } from '../net/timers.ts';
import type { Timers } from '../net/timers.ts';
import type { ContainerEngine } from '../ports.ts';
import { memoryOfProcess } from './cgroup.ts';
import { followLines, parseEvent } from './docker-events.ts';
import { createPullProgress } from './pull-progress.ts';
import type { PullItem } from './pull-progress.ts';

/*
 * INVARIANTS
 * - Nothing without our label is ever removed: the label is read before, and the removal names the id that was read.
 * - Two clients: the timeout of the one for calls would also cut an event stream on which nothing happens.
 * - The API version is the daemon's own: none is named.
 */

const callTimeoutMs = 60_000;
/** A registry that sends nothing for so long will not send the rest either. */
const pullSilenceMs = 5 * 60_000;
const outstandingCalls = 32;

const statusOf = (error: unknown): number =>
  error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 0;

/** dockerode's "(HTTP code 404) no such image - " in front of the daemon's words says nothing to people. */
const words = (error: unknown): string =>
  messageOf(error)
    .replace(/^\(HTTP code \d+\)[^-]*- /, '')
    .trim();

const failure = (what: string, error: unknown): AppFleetError =>
  error instanceof AppFleetError
    ? error
    : new AppFleetError('AF_DOCKER', `${what}: ${words(error)}`, {
        cause: error,
        hint: statusOf(error) === 0 ? 'systemctl status docker' : undefined,
      });

/** Docker's Engine over its socket. */
export const createDocker = (socketPath = '/run/docker.sock', timers: Timers = systemTimers): ContainerEngine => {
  // An empty host: DOCKER_HOST in the environment would otherwise win over the socket.
  const calls = new Docker({ socketPath, host: '', timeout: callTimeoutMs });
  const streams = new Docker({ socketPath, host: '' });
  const limit = createLimit(outstandingCalls);

  /** One call; `absent` where the daemon knows nothing of that name, AF_DOCKER for anything else. */
  const call = async <T, A = never>(what: string, work: () => Promise<T>, absent?: { value: A }): Promise<T | A> => {
    try {
      return await limit(work);
    } catch (error) {
      if (absent && statusOf(error) === 404) return absent.value;
      throw failure(what, error);
    }
  };

  const readPull = async (stream: Readable, image: string, onProgress: (line: string) => void): Promise<void> => {
    const progress = createPullProgress(image, () => timers.now(), onProgress);
    const tearDown = (): void => {
      stream.destroy(new Error(`the registry sent nothing for ${pullSilenceMs / 60_000} minutes`));
    };
    let callOff = timers.after(pullSilenceMs, tearDown);
    const broken = new Promise<never>((_, reject) => {
      stream.once('error', reject);
    });
    const read = async (): Promise<void> => {
      for await (const line of createInterface({ input: stream, crlfDelay: Infinity })) {
        callOff();
        callOff = timers.after(pullSilenceMs, tearDown);
        if (line.trim() === '') continue;
        const item = JSON.parse(line) as PullItem;
        // The answer's status was 200 long ago: what goes wrong now is said in the stream.
        if (item.error !== undefined) throw new Error(item.error);
        progress(item);
      }
    };
    try {
      await Promise.race([read(), broken]);
    } finally {
      callOff();
      stream.destroy();
    }
  };

  return {
    list: () =>
      call('cannot list containers', async () => {
        const found = await calls.listContainers({ all: true, filters: { label: [labels.site] } });
        return found.map((one) => ({
          name: (one.Names[0] ?? '').replace(/^\//, ''),
          site: one.Labels[labels.site] ?? '',
          spec: one.Labels[labels.spec] ?? '',
          running: one.State === 'running',
          paused: one.State === 'paused',
          imageId: one.ImageID,
        }));
      }),
    hasImage: (image) =>
      call(
        `cannot look for image ${image}`,
        () =>
          calls
            .getImage(image)
            .inspect()
            .then(() => true),
        { value: false },
      ),
    pull: async (image, onProgress) => {
      try {
        // Types say ReadableStream; it is the http answer.
        await readPull((await streams.pull(image)) as Readable, image, onProgress);
      } catch (error) {
        throw failure(`cannot pull ${image}`, error);
      }
    },
    remove: async (name) => {
      const what = `cannot remove container ${name}`;
      const found = await call(what, () => calls.getContainer(name).inspect(), { value: null });
      if (!found) return;
      if (found.Config.Labels[labels.site] === undefined) {
        throw new AppFleetError('AF_DOCKER', `${what}: it is not ours, it has no label ${labels.site}`);
      }
      // Its anonymous volumes stay: they may hold what a site's owner believes to be stored.
      const container = calls.getContainer(found.Id);
      await call(what, () => container.remove({ force: true }), { value: null }).catch(async (error: unknown) => {
        // Somebody else is removing it: wait for them.
        if (!(error instanceof AppFleetError) || statusOf(error.cause) !== 409) throw error;
        await call(what, () => container.wait({ condition: 'removed' }), { value: null });
      });
    },
    memory: async (name) => {
      const what = `cannot inspect container ${name}`;
      const found = await call(what, () => calls.getContainer(name).inspect(), { value: null });
      return found?.State.Running ? memoryOfProcess(found.State.Pid) : null;
    },
    version: () =>
      call('cannot reach the Docker Engine', async () => {
        const { Version, ApiVersion } = await calls.version();
        return { version: Version, api: ApiVersion };
      }),
    watch: (onChange) =>
      followLines({
        timers,
        open: async (abortSignal) =>
          (await streams.getEvents({
            filters: { type: ['container'], label: [labels.site] },
            abortSignal,
          })) as Readable,
        onOpen: () => onChange({ site: null, action: 'connected' }),
        onLine: (line) => {
          const event = parseEvent(line, labels.site);
          if (event) onChange(event);
        },
      }),
    watchImages: (onChange) =>
      followLines({
        timers,
        open: async (abortSignal) =>
          (await streams.getEvents({
            filters: { type: ['image'], event: ['pull', 'load', 'import', 'tag'] },
            abortSignal,
          })) as Readable,
        onOpen: onChange,
        onLine: onChange,
      }),
  };
};
