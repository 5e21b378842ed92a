/** Has the log say which certificates are about to expire: whoever watches the journal for warnings and errors hears of them. */
import type { Log } from '../adapters/journal.ts';
import type { CertificateView } from '../core/certificate-view.ts';
import { messageOf } from '../errors.ts';

export interface CertificateAlarms {
  /** Looks once a minute at most; says each thing once, and again when it has become another. Never throws. */
  look(views: () => Promise<ReadonlyMap<string, CertificateView>>): Promise<void>;
}

const lookSeconds = 60;

/** `steady`: seconds. */
export const createCertificateAlarms = (log: Pick<Log, 'warn' | 'error'>, steady: () => number): CertificateAlarms => {
  const told = new Map<string, string>();
  let last: number | null = null;
  return {
    look: async (views) => {
      if (last !== null && steady() - last < lookSeconds) return;
      last = steady();
      try {
        const seen = await views();
        for (const site of told.keys()) if (!seen.has(site)) told.delete(site);
        for (const { site, problem, alarm } of seen.values()) {
          if (alarm === 'none' || problem === null) {
            told.delete(site);
            continue;
          }
          if (told.get(site) === `${alarm} ${problem}`) continue;
          told.set(site, `${alarm} ${problem}`);
          log[alarm]({ site }, problem);
        }
      } catch (error) {
        log.warn(`certificates cannot be looked at: ${messageOf(error)}`);
      }
    },
  };
};
