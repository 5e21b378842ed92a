/** `appfleet cert account` and `cert revoke`: what concerns the account with the CA, and taking a certificate back. */
import { keepAccountUrl, readAccount } from '../certificates/account.ts';
import { rollOver } from '../certificates/rollover.ts';
import { accountKey, currentGeneration } from '../core/names.ts';
import { createFleetReader } from '../reconcile/fleet.ts';
import { resolveName } from './resolve.ts';
import { withCertificateLock } from './cert-lock.ts';
import { directoryOf, openAuthority } from './cert-run.ts';
import type { Context, ExitCode } from './context.ts';
import { passNow } from './pass.ts';

export interface AccountOptions {
  json: boolean;
  /** Registers the account, or tells the CA the contacts of the settings. */
  update: boolean;
  /** Takes another key for the account (RFC 8555 7.3.5). */
  rollover: boolean;
  /** Ends the account (RFC 8555 7.3.6). */
  deactivate: boolean;
}

interface View {
  directory: string;
  url: string | null;
  contacts: readonly string[];
  thumbprint: string | null;
  keyFile: string;
}

const show = (context: Context, view: View, json: boolean): void => {
  if (json) return context.print(JSON.stringify(view, null, 2));
  const unknown =
    view.thumbprint === null
      ? 'none yet: the first order makes it'
      : 'not known to the CA yet: the first order registers it';
  context.print(`directory   ${view.directory}`);
  context.print(`account     ${view.url ?? unknown}`);
  context.print(`contacts    ${view.contacts.join(', ') || 'none; set acme_email to hear of trouble'}`);
  if (view.thumbprint === null) return;
  context.print(`key         ${view.keyFile}`);
  context.print(`thumbprint  ${view.thumbprint}`);
};

/** Exit code 0: shown or done; 2: there is no account to end. The key is never printed; its thumbprint is public. */
export const certAccountCommand = async (context: Context, options: AccountOptions): Promise<ExitCode> => {
  const { files } = context.host();
  const tools = context.certificates();
  const { settings } = await createFleetReader(files)();
  const directory = directoryOf(settings);
  const shown = async (): Promise<void> => {
    const account = await readAccount(files, directory);
    const view = {
      directory,
      url: account?.url ?? null,
      contacts: settings.acme.contacts,
      thumbprint: account === null ? null : tools.x509.thumbprint(account.keyPem),
      keyFile: accountKey(directory),
    };
    show(context, view, options.json);
  };
  const change = async (): Promise<ExitCode> => {
    const { account, ca } = await openAuthority(context, tools, settings);
    await keepAccountUrl(files, directory, await ca.register());
    if (options.update) await ca.updateContact(settings.acme.contacts);
    if (options.rollover) await rollOver(files, directory, ca, await tools.x509.newKey('ecdsa'));
    if (options.deactivate) {
      await ca.deactivate();
      await files.remove(accountKey(directory));
      await keepAccountUrl(files, directory, null);
    }
    if (account.isNew || options.rollover || options.deactivate) await passNow(context);
    if (options.deactivate && !options.json)
      context.print(`The account with ${directory} has ended; the next order makes a new one.`);
    else await shown();
    return 0;
  };
  if (options.deactivate && (await readAccount(files, directory)) === null) {
    context.complain(`there is no account with ${directory}`);
    return 2;
  }
  if (options.update || options.rollover || options.deactivate) return withCertificateLock(change);
  await shown();
  return 0;
};

/** RFC 5280 5.3.1, as far as a subscriber may give them. */
export const revocationReasons: Readonly<Record<string, number>> = {
  unspecified: 0,
  'key-compromise': 1,
  'affiliation-changed': 3,
  superseded: 4,
  'cessation-of-operation': 5,
};

/**
 * `appfleet cert revoke SITE`: tells the CA that the certificate must not be trusted any more, and takes it out of use; the next
 * run orders another one. Exit code 2: no such site or reason, or nobody agreed.
 */
export const certRevokeCommand = async (
  context: Context,
  word: string,
  options: { reason: string; yes: boolean; dryRun: boolean; json: boolean },
  ask: ((question: string) => Promise<boolean>) | null,
): Promise<ExitCode> => {
  const { files } = context.host();
  const tools = context.certificates();
  const fleet = await createFleetReader(files)();
  const site = resolveName(word, fleet);
  const reason = revocationReasons[options.reason];
  if (reason === undefined || !Object.hasOwn(revocationReasons, options.reason)) {
    context.complain(`there is no reason ${options.reason}; there is: ${Object.keys(revocationReasons).join(', ')}`);
    return 2;
  }
  const current = await tools.store.current(site);
  if (current === null) {
    context.complain(`${site} has no certificate`);
    return 2;
  }
  const tell = (revoked: boolean, words: string): void => {
    const { names, notAfter } = current;
    if (options.json)
      context.print(JSON.stringify({ site, names, expires: notAfter, reason: options.reason, revoked }));
    else context.print(words);
  };
  if (options.dryRun) {
    tell(false, `${site}: the certificate for ${current.names.join(', ')} would be revoked`);
    return 0;
  }
  if (!options.yes) {
    const agreed =
      ask !== null && (await ask(`Revoke the certificate for ${current.names.join(', ')}? It cannot be undone.`));
    if (!agreed) {
      context.complain('nothing was revoked; --yes does it without a question');
      return 2;
    }
  }
  return withCertificateLock(async (): Promise<ExitCode> => {
    const { ca, directory } = await openAuthority(context, tools, fleet.settings);
    await keepAccountUrl(files, directory, await ca.register());
    await ca.revoke((await tools.store.pair(current)).chainPem, reason);
    await files.remove(currentGeneration(site));
    await passNow(context);
    tell(true, `${site}: the certificate is revoked; \`appfleet cert issue ${site}\` gets another one`);
    return 0;
  });
};
