/** One line of the stream that the Engine answers a pull with. */
export interface PullItem {
  id?: string;
  status?: string;
  error?: string;
  progressDetail?: { current?: number; total?: number };
}

interface Layer {
  status: string;
  current: number;
  total: number;
}

const shortestPauseMs = 500;
const isDone = (layer: Layer): boolean => layer.status === 'Pull complete' || layer.status === 'Already exists';
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);

const summary = (layers: Layer[]): string => {
  const total = layers.reduce((sum, layer) => sum + layer.total, 0);
  const current = layers.reduce((sum, layer) => sum + layer.current, 0);
  const sizes = total === 0 ? '' : `, ${megabytes(current)} of ${megabytes(total)} MB`;
  return `${layers.filter(isDone).length} of ${layers.length} layers${sizes}`;
};

/** Turns the items of a pull into few lines for people: one when a layer changed its state, at most two a second. */
export const createPullProgress = (
  image: string,
  now: () => number,
  onLine: (line: string) => void,
): ((item: PullItem) => void) => {
  const layers = new Map<string, Layer>();
  let last = Number.NEGATIVE_INFINITY;
  let lastLine = '';
  const say = (text: string): void => {
    if (text !== lastLine) onLine(`${image}: ${text}`);
    lastLine = text;
  };
  return ({ id, status, progressDetail }) => {
    if (status === undefined) return;
    // "Pulling from library/x", "Digest: ...", "Status: Downloaded newer image ...": about the image, not a layer.
    if (id === undefined || status.startsWith('Pulling from')) return say(status);
    const layer = layers.get(id) ?? { status: '', current: 0, total: 0 };
    layers.set(id, layer);
    layer.status = status;
    if (status === 'Downloading') {
      layer.current = progressDetail?.current ?? layer.current;
      layer.total = progressDetail?.total ?? layer.total;
    }
    if (status === 'Download complete' || isDone(layer)) layer.current = layer.total;
    const all = [...layers.values()];
    if (now() - last < shortestPauseMs && !all.every(isDone)) return;
    last = now();
    say(summary(all));
  };
};
