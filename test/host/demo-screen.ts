/** How the demo talks: a live line per phase on a terminal, plain lines in a pipe or a CI log. */
import { stripVTControlCharacters } from 'node:util';
import picocolors from 'picocolors';
import type { Log } from './tools.ts';

export interface Screen {
  readonly isTerminal: boolean;
  readonly width: number;
  readonly colours: ReturnType<typeof picocolors.createColors>;
  readonly line: (text?: string) => void;
  /** Prose, in lines that fit; `indent` stands before all but the first. */
  readonly say: (text: string, indent?: string) => void;
  /** Says what is being done until it is done, and then how long it took. */
  readonly phase: <T>(title: string, work: (log: Log) => Promise<T>) => Promise<T>;
}

const wheel = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const tickMs = 100;
/** A log without a live line hears of a phase when it has lasted so long, of small steps and of silence this often. */
const quietSeconds = { short: 5, small: 4, silent: 20 };

/** The text without colours. */
export const plain = stripVTControlCharacters;

const wrap = (text: string, width: number, indent: string): string[] =>
  text.split(' ').reduce<string[]>((lines, word) => {
    const last = lines.at(-1);
    if (last === undefined) return [word];
    if (plain(last).length + 1 + word.length > width) return [...lines, indent + word];
    return [...lines.slice(0, -1), `${last} ${word}`];
  }, []);

export const createScreen = (stream: NodeJS.WriteStream): Screen => {
  const isTerminal = stream.isTTY;
  const colours = picocolors.createColors(isTerminal && process.env.NO_COLOR === undefined);
  const widthOf = (): number => Math.min(stream.columns || 100, 120);
  let live = false;

  const clear = (): void => {
    if (live) stream.write('\r\x1b[2K');
    live = false;
  };
  const line = (text = ''): void => {
    clear();
    stream.write(`${text}\n`);
  };
  const say = (text: string, indent = ''): void => wrap(text, widthOf(), indent).forEach((each) => line(each));
  const draw = (text: string): void => {
    stream.write(`\r\x1b[2K${text}`);
    live = true;
  };

  const phase: Screen['phase'] = async (title, work) => {
    const start = performance.now();
    const seconds = (): number => (performance.now() - start) / 1000;
    let latest = '';
    let told = 0;
    let turn = 0;
    let begun = isTerminal;
    const begin = (): void => {
      if (!begun) line(`· ${title}`);
      begun = true;
    };
    const took = (mark: string): string => `${mark} ${title.padEnd(52)} ${`${seconds().toFixed(1)} s`.padStart(8)}`;
    const tell = (text: string): void => {
      told = seconds();
      begin();
      line(colours.dim(`    ${`${told.toFixed(0)} s`.padStart(5)}  ${text}`));
    };
    const tick = (): void => {
      if (isTerminal) {
        const head = `${wheel[turn++ % wheel.length]} ${title}  ${seconds().toFixed(0)} s`;
        const room = widthOf() - head.length - 3;
        draw(`${colours.cyan(head)}${room > 10 && latest !== '' ? colours.dim(`  ${latest.slice(0, room)}`) : ''}`);
      } else if (seconds() - told > quietSeconds.silent) tell('still at it');
      else if (seconds() > quietSeconds.short) begin();
    };
    const timer = setInterval(tick, tickMs);
    try {
      const result = await work((text) => {
        if (text.trim() === 'changed') return; // the task that was told before
        latest = text.trim();
        // Ansible tells every task with blanks before it.
        if (!isTerminal && (!text.startsWith(' ') || seconds() - told > quietSeconds.small)) tell(latest);
      });
      line(took(colours.green('✓')));
      return result;
    } catch (error) {
      line(took(colours.red('✗')));
      throw error;
    } finally {
      clearInterval(timer);
    }
  };

  return {
    isTerminal,
    get width() {
      return widthOf();
    },
    colours,
    line,
    say,
    phase,
  };
};
