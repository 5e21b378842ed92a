import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { runCommand, type CommandOptions, type CommandResult } from './command.ts';
import { startMachine, findLeader } from './machine.ts';
import { isAlive, type ProcessId } from './process-id.ts';
import { untilBooted } from './until-booted.ts';
import type { Release } from './release.ts';
import { readState, writeState, type HostState } from './state.ts';
import { powerOff, tearDown } from './teardown.ts';

const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  USER: 'root',
  LANG: 'C.UTF-8',
  TERM: process.env.TERM ?? 'dumb',
};

/** A running Debian. Its methods may be called from any number of tests at once. */
export class TestHost {
  readonly name: string;
  readonly release: Release;
  #state: HostState;
  #leader: ProcessId | undefined;

  constructor(state: HostState) {
    this.name = state.name;
    this.release = state.release;
    this.#state = state;
  }

  /** Its PID 1, in this machine's numbers. */
  get leader(): number {
    if (!isAlive(this.#leader)) {
      const state = readState(this.name) ?? this.#state;
      this.#leader = state.supervisor && isAlive(state.supervisor) ? findLeader(state.supervisor) : undefined;
    }
    if (!this.#leader) throw new Error(`host ${this.name} is not running`);
    return this.#leader.pid;
  }

  /**
   * Its file system as a path of this machine, for a quick look. An absolute symbolic link in it points into this
   * machine's own tree: `read` and `write` have no such trap.
   */
  get root(): string {
    return `/proc/${this.leader}/root`;
  }

  run(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return runCommand(this.#enter(argv), { ...options, env: environment(options) }, `${this.name}: ${argv.join(' ')}`);
  }

  /** Runs a shell script that stops at the first command that fails. */
  sh(script: string, options: CommandOptions = {}): Promise<CommandResult> {
    return this.run(['sh', '-euc', script], options);
  }

  /** Runs a program of this machine, on this machine's files, in the host's network. */
  network(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return runCommand(['nsenter', '--target', String(this.leader), '--net', '--', ...argv], options);
  }

  /** Starts a program and leaves the rest to the caller; by default it shares our terminal. */
  spawn(argv: readonly string[], options: { env?: Record<string, string>; stdio?: StdioOptions } = {}): ChildProcess {
    const [program, ...rest] = this.#enter(argv);
    return spawn(program!, rest, { env: environment(options), stdio: options.stdio ?? 'inherit' });
  }

  async write(path: string, content: string | Buffer, mode = 0o644): Promise<void> {
    const script = 'mkdir -p "${1%/*}/"; umask 077; cat >"$1"; chmod "$2" "$1"';
    await this.run(['sh', '-euc', script, 'write', path, mode.toString(8)], { input: content });
  }

  async read(path: string): Promise<string> {
    return (await this.run(['cat', path])).stdout;
  }

  /** Copies a file of this machine, with its mode. */
  async copyIn(hostPath: string, path: string): Promise<void> {
    const mode = (await stat(hostPath)).mode & 0o7777;
    const script = 'mkdir -p "${1%/*}/"; cat >"$1.part"; chmod "$2" "$1.part"; mv "$1.part" "$1"';
    await this.pipeFrom(['cat', hostPath], ['sh', '-euc', script, 'copy', path, mode.toString(8)]);
  }

  /** Lets a program in the host read what a program of this machine writes. */
  async pipeFrom(source: readonly string[], argv: readonly string[]): Promise<void> {
    const from = spawn(source[0]!, source.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
    const to = this.spawn(argv, { stdio: [from.stdout, 'ignore', 'inherit'] });
    from.stdout.destroy(); // the two now have the pipe between them
    const codes = await Promise.all([from, to].map(ended));
    if (codes.some((code) => code !== 0)) {
      throw new Error(`${this.name}: ${source.join(' ')} | ${argv.join(' ')}: exit codes ${codes.join(', ')}`);
    }
  }

  /** Restarts it as an admin would; everything on disk stays. */
  async reboot(): Promise<void> {
    const before = this.leader;
    await this.run(['systemctl', '--no-block', 'reboot'], { allowFail: true });
    // Once systemd-nspawn sees its child end with the wish to come back, it boots the same tree again.
    for (const end = Date.now() + 120_000; isAlive(this.#leader); await sleep(20)) {
      if (Date.now() > end) throw new Error(`host ${this.name}: PID 1 (${before}) did not end after 'reboot'`);
    }
    await untilBooted(this.#state);
  }

  /** Pulls the plug, then boots again: nothing gets the chance to stop in order. */
  async powerCut(): Promise<void> {
    powerOff(this.name);
    this.#state = { ...this.#state, supervisor: startMachine(this.#state) };
    writeState(this.#state);
    await untilBooted(this.#state);
  }

  /** Ends it and removes every trace of it from this machine. */
  // eslint-disable-next-line @typescript-eslint/require-await -- a promise, so that it may become slower some day
  async down(): Promise<void> {
    tearDown(this.name);
  }

  #enter(argv: readonly string[]): string[] {
    // Under tap every child is given NODE_OPTIONS that load a file of this machine; the host's own Node would not find it.
    return ['nsenter', '--target', String(this.leader), '--all', '--', 'env', '--unset=NODE_OPTIONS', ...argv];
  }
}

function environment(options: { env?: Readonly<Record<string, string>> }): Record<string, string> {
  return { ...ENVIRONMENT, ...options.env };
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('exit', resolve);
  });
}
