// npm run demo [-- --name NAME] [-- --release 12]: three real sites on a disposable Debian host, and a tour of what they do.
import { setImmediate as turn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { obstacles } from './demo-obstacles.ts';
import { explainObstacles } from './demo-plan.ts';
import { createScreen } from './demo-screen.ts';
import { defaultHostName, parseRelease } from './release.ts';

/** What stands in the way. Ctrl-C waits until the trials have tidied up after themselves. */
const look = async (): Promise<string[]> => {
  const signals: NodeJS.Signals[] = [];
  const note = (signal: NodeJS.Signals): void => void signals.push(signal);
  process.on('SIGINT', note).on('SIGTERM', note);
  const found = obstacles();
  await turn();
  process.off('SIGINT', note).off('SIGTERM', note);
  for (const signal of signals) process.kill(process.pid, signal);
  return found;
};

const screen = createScreen(process.stdout);
try {
  const { values } = parseArgs({ options: { release: { type: 'string', default: '13' }, name: { type: 'string' } } });
  const release = parseRelease(values.release);
  const found = await look();
  if (found.length > 0) {
    await explainObstacles(screen, found);
    process.exitCode = 1;
  } else {
    // What boots hosts cannot even be imported where there is no /proc.
    const { runDemo } = await import('./demo-run.ts');
    process.exitCode = await runDemo(screen, { release, name: values.name ?? defaultHostName(release) });
  }
} catch (error) {
  screen.line(screen.colours.red(error instanceof Error ? error.message : String(error)));
  process.exitCode = 2;
}
