/** The words after `appfleet cert`. */
import type { Command } from 'commander';
import { askOn } from './commands/ask.ts';
import { certAccountCommand, certRevokeCommand, revocationReasons } from './commands/cert-account.ts';
import { certImportCommand } from './commands/cert-import.ts';
import { certListCommand } from './commands/cert-list.ts';
import { certRenewCommand } from './commands/cert-renew.ts';
import type { Context, ExitCode } from './commands/context.ts';

interface Terminal {
  stdin: NodeJS.ReadableStream & { isTTY?: boolean };
  stdout: object & { isTTY?: boolean };
  stderr: NodeJS.WritableStream;
}

/** Adds the commands; `done` takes a command's exit code. */
export const certCommands = (
  program: Command,
  context: Context,
  done: (work: Promise<ExitCode>) => Promise<void>,
  terminal: Terminal,
): void => {
  const cert = program.command('cert').description('certificates: list, issue, renew, revoke, import, account');

  cert
    .command('list [sites...]')
    .description('show certificates, when they expire and what is wrong with them')
    .option('--json', 'as JSON', false)
    .option('--expiring <period>', 'only those that are missing or expire within 14d, 36h, ...; exit code 1 if any')
    .action((sites: string[], { json, expiring }: { json: boolean; expiring?: string }) =>
      done(certListCommand(context, sites, { json, expiring: expiring ?? null })),
    );
  const ordering = (name: string, description: string, forced: boolean): void => {
    cert
      .command(name)
      .description(description)
      .option('--json', 'as JSON', false)
      .option('-n, --dry-run', 'say what would be ordered, and order nothing', false)
      .option('--force', 'also what is not due, or waits after a failure', forced)
      .action((sites: string[], options: { json: boolean; dryRun: boolean; force: boolean }) =>
        done(
          certRenewCommand(context, sites, {
            ...options,
            patient: forced,
            chatty: forced || options.dryRun || terminal.stdout.isTTY === true,
          }),
        ),
      );
  };
  ordering('renew [sites...]', 'order what is due: for cron, says nothing when nothing was due', false);
  ordering('issue <sites...>', 'order certificates now, due or not', true);
  cert
    .command('revoke <site>')
    .description('take a certificate back; the next run orders another')
    .option('--reason <reason>', Object.keys(revocationReasons).join(', '), 'unspecified')
    .option('-y, --yes', 'do not ask', false)
    .option('-n, --dry-run', 'say what would be revoked, and revoke nothing', false)
    .option('--json', 'as JSON', false)
    .action((site: string, options: { reason: string; yes: boolean; dryRun: boolean; json: boolean }) =>
      done(
        certRevokeCommand(
          context,
          site,
          options,
          terminal.stdin.isTTY === true ? askOn(terminal.stdin, terminal.stderr) : null,
        ),
      ),
    );
  cert
    .command('import [folders...]')
    .description(
      'take over certificates of certbot, acme-companion or nginx-proxy, and the account of certbot; the folders default to theirs',
    )
    .option('--json', 'as JSON', false)
    .option('-n, --dry-run', 'say what would be taken, and take nothing', false)
    .action((folders: string[], options: { json: boolean; dryRun: boolean }) =>
      done(certImportCommand(context, folders, options)),
    );
  cert
    .command('account')
    .description('show the account with the CA, or change it')
    .option('--json', 'as JSON', false)
    .option('--update', 'register it, and tell the CA the contacts of the settings', false)
    .option('--rollover', 'take another key', false)
    .option('--deactivate', 'end the account', false)
    .action((options: { json: boolean; update: boolean; rollover: boolean; deactivate: boolean }) =>
      done(certAccountCommand(context, options)),
    );
};
