/** TXT records by a program of the admin's, which knows his DNS provider: `PROGRAM add|del NAME TXT VALUE`. */
import type { DnsHook } from '../certificates/ports.ts';
import { lastWords } from '../core/last-words.ts';
import { AppFleetError, messageOf } from '../errors.ts';
import { createLimit } from '../net/limit.ts';
import { howItFailed, runProgram, whyUntrusted } from '../net/program.ts';
import { systemTimers } from '../net/timers.ts';

const defaultLimitSeconds = 120;
const name = /^[a-z0-9_-]+(\.[a-z0-9_-]+)+$/;
/** base64url. */
const value = /^[A-Za-z0-9_-]{1,255}$/;

const failed = (message: string, hint: string, cause?: unknown): AppFleetError =>
  new AppFleetError('AF_HOOK', message, { hint, cause });

/**
 * `add` ends when the program does, and the program ends when the record can be seen from outside: only it knows how long its
 * provider takes. `add` must keep other records of the name: a domain and its wildcard are proved by two under one name.
 * One run at a time, because many programs read a zone, change it and write it back. Throws AF_HOOK.
 */
export const createDnsHook = (program: string, limitSeconds = defaultLimitSeconds): DnsHook => {
  const limit = createLimit(1);

  const run = async (verb: 'add' | 'del', domain: string, text: string): Promise<void> => {
    const record = `_acme-challenge.${domain.replace(/^\*\./, '')}`;
    // Both come from the CA or from files that were checked; a program is given nothing that it could take for more.
    if (!name.test(record) || !value.test(text))
      throw failed(
        `${JSON.stringify(record)} with that value is no record for ${program}`,
        'this is a mistake of ours',
      );
    const untrusted = whyUntrusted(program);
    if (untrusted !== null) throw failed(`${program} is not run: ${untrusted}`, 'see the setting acme_dns_hook');
    const words = [verb, record, 'TXT', text];
    const hint = `try it: ${program} ${words.join(' ')}`;
    const options = { env: {}, limitMs: limitSeconds * 1000, timers: systemTimers };
    const end = await runProgram(program, words, options).catch((error: unknown) => {
      throw failed(messageOf(error), 'see the setting acme_dns_hook', error);
    });
    const how = howItFailed(end, options.limitMs);
    if (how === null) return;
    const said = lastWords(end.output);
    throw failed(`${program} ${verb} ${record} ${how}${said === '' ? ' and said nothing' : `: ${said}`}`, hint);
  };

  return {
    add: (domain, text) => limit(() => run('add', domain, text)),
    remove: (domain, text) => limit(() => run('del', domain, text)),
  };
};
