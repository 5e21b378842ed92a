/** The ledger of a certificate authority on disk: many orders under way note in it, one after the other. */
import { type Ledger, parseLedger, printLedger } from '../core/budget.ts';
import { accountFolder, ledgerFile, paths } from '../core/names.ts';
import type { Files } from '../ports.ts';

export interface LedgerFile {
  now(): Ledger;
  /** Changes it and has it on disk before it resolves: who is killed afterwards has been counted. */
  change(edit: (ledger: Ledger) => Ledger): Promise<void>;
}

export const openLedger = async (files: Files, directory: string): Promise<LedgerFile> => {
  const path = ledgerFile(directory);
  let ledger = parseLedger(await files.read(path));
  let last: Promise<unknown> = Promise.resolve();
  return {
    now: () => ledger,
    change: (edit) => {
      ledger = edit(ledger);
      const text = printLedger(ledger);
      const write = async (): Promise<void> => {
        await files.makeFolder(paths.accounts, 0o700);
        await files.makeFolder(accountFolder(directory), 0o700);
        await files.write({ path, text, mode: 0o600 });
      };
      const done = last.then(write);
      last = done.catch(() => undefined);
      return done;
    },
  };
};
