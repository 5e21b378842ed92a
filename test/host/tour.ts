/** The tour: commands as one would type them on the host, what they really print, and what has to come of them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { plain, type Screen } from './demo-screen.ts';
import type { TestHost } from './test-host.ts';
import { stops, type Command, type Outcome } from './tour-stops.ts';

type Page = Pick<Screen, 'isTerminal' | 'width' | 'colours' | 'line' | 'say'>;

/** A command that did not do what the tour says it does. */
export class TourStop extends Error {
  /** Whose journal may tell why. */
  readonly unit: string;

  constructor(command: string, complaint: string, unit: string) {
    super(`${command}\n${complaint}`);
    this.name = 'TourStop';
    this.unit = unit;
  }
}

const limitMs = 60_000;

/** On a terminal the command gets one too, as wide as ours, and colours itself; in a pipe it gets a pipe. */
const type = async (host: TestHost, screen: Page, command: string, indent: number): Promise<Outcome> => {
  const columns = screen.width - indent;
  const script = screen.isTerminal ? `stty cols ${columns} rows 50; ${command}` : command;
  const argv = screen.isTerminal
    ? ['script', '--echo', 'never', '--quiet', '--return', '--flush', '--command', script, '/dev/null']
    : ['sh', '-c', `exec 2>&1; ${script}`];
  const env = { PAGER: 'cat', SYSTEMD_PAGER: 'cat', ...(process.env.NO_COLOR === undefined ? {} : { NO_COLOR: '1' }) };
  const { code, stdout } = await host.run(argv, { allowFail: true, timeoutMs: limitMs, env });
  const text = stdout.replaceAll('\r\n', '\n').trimEnd();
  return { code, shown: text.split('\n'), text: plain(text) };
};

const runCommand = async (host: TestHost, screen: Page, command: Command): Promise<void> => {
  const { colours, line } = screen;
  const indent = 2;
  const margin = ' '.repeat(indent);
  line(`${margin}${colours.bold(`$ ${command.type}`)}`);
  const outcome = await type(host, screen, command.type, indent);
  const { shown } = outcome;
  const most = command.lines ?? 20;
  if (outcome.text !== '') for (const each of shown.slice(0, most)) line(`${margin}${each}`.trimEnd());
  if (shown.length > most) line(colours.dim(`${margin}… ${shown.length - most} more lines`));
  const complaint = command.expect(outcome);
  if (complaint !== null) throw new TourStop(command.type, complaint, command.unit ?? 'appfleet');
};

/** Shows every stop. Throws TourStop at the first command that does something else than the tour says. */
export const takeTour = async (screen: Page, host: TestHost): Promise<void> => {
  const { colours, line } = screen;
  for (const [index, stop] of stops.entries()) {
    line();
    line(colours.cyan(colours.bold(`${index + 1}. ${stop.title}`)));
    screen.say(stop.say);
    for (const command of stop.commands) {
      // What is typed while something is under way would show that instead.
      if (command.pauseMs) await sleep(command.pauseMs);
      await runCommand(host, screen, command);
    }
  }
};
