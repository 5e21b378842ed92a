import { spawn } from 'node:child_process';
import { constants } from 'node:os';

export interface CommandOptions {
  readonly input?: string | Buffer;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** Return whatever exit code comes instead of throwing. */
  readonly allowFail?: boolean;
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class CommandError extends Error {
  readonly result: CommandResult;

  constructor(what: string, result: CommandResult) {
    const said = [result.stdout.trim(), result.stderr.trim()].filter(Boolean).join('\n');
    super(`${what}: exit code ${result.code}${said && `\n${said.slice(-4000)}`}`);
    this.name = 'CommandError';
    this.result = result;
  }
}

/** How long output may still arrive after the end of a command, for one that leaves a daemon behind on its pipes. */
const LAST_OUTPUT_MS = 500;

/** Runs a program of the controller. `label` stands for it in errors, where argv has more than a reader needs. */
export function runCommand(
  argv: readonly string[],
  options: CommandOptions = {},
  label = argv.join(' '),
): Promise<CommandResult> {
  const { input, env, timeoutMs = 120_000, allowFail = false } = options;
  return new Promise((resolve, reject) => {
    // A process group of its own, so that a timeout also ends what the command started.
    const child = spawn(argv[0]!, argv.slice(1), { env: env ?? process.env, detached: true, stdio: 'pipe' });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin.on('error', () => undefined); // it need not read what we offer
    child.stdin.end(input);

    let late: NodeJS.Timeout | undefined;
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      killGroup(child.pid);
    }, timeoutMs);
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(new Error(`${label}: ${error.message}`, { cause: error }));
    });
    child.once('exit', () => {
      late = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, LAST_OUTPUT_MS);
    });
    child.once('close', (code, signalName) => {
      clearTimeout(timer);
      clearTimeout(late);
      const result = {
        code: code ?? 128 + (signalName ? constants.signals[signalName] : 0),
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
      };
      if (timedOut) reject(new CommandError(`${label}: no end after ${timeoutMs} ms`, result));
      else if (result.code !== 0 && !allowFail) reject(new CommandError(label, result));
      else resolve(result);
    });
  });
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid) process.kill(-pid, 'SIGKILL');
  } catch {
    // it ended in this moment
  }
}
