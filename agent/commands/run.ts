/**
 * `appfleet run`: the daemon. It makes the host match the files, sends idle sites to sleep and answers on its socket.
 * Sites wake, restart and answer without it; it may be killed at any moment.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { createApi } from '../api/server.ts';
import { createRoutes } from '../api/routes.ts';
import type { Log } from '../adapters/journal.ts';
import { paths } from '../core/names.ts';
import { describeStep } from '../core/step.ts';
import { AppFleetError, messageOf } from '../errors.ts';
import { acquire } from '../net/lock.ts';
import type { PassedSocket } from '../net/listen-fds.ts';
import type { Notify } from '../net/notify.ts';
import { systemTimers } from '../net/timers.ts';
import type { Beside } from '../reconcile/beside.ts';
import { viewCertificates } from '../reconcile/certificate-views.ts';
import { createLoop } from '../reconcile/loop.ts';
import { createMetrics } from '../reconcile/metrics.ts';
import { concernedSites } from '../reconcile/narrow.ts';
import { createPulls } from '../reconcile/pulls.ts';
import { createReconciler, type Report } from '../reconcile/reconcile.ts';
import { createWholePass, type Said } from '../reconcile/whole-pass.ts';
import { createWorks } from '../reconcile/works.ts';
import { isOrdering } from './cert-lock.ts';
import { createCertificateAlarms } from './certificate-alarms.ts';
import type { Context, ExitCode } from './context.ts';
import { watchHost } from './hints.ts';
import { startIdleRounds } from './idle-rounds.ts';
import { createMirroring } from './mirroring.ts';
import { createPassLog } from './pass-log.ts';
import { createPatience, secondLook } from './patience.ts';
import { createRenewals } from './renewals.ts';
import { isRunFolderLost, restoreRunFolder } from './run-folder.ts';
import { newPassword } from './secret.ts';

export interface RunOptions {
  log: Log;
  notify: Notify;
  sockets: readonly PassedSocket[];
  /** Resolves when the process is asked to end. */
  ended: Promise<string>;
  /** Calls back when somebody asks for a pass (SIGHUP). */
  onReload: (callback: () => void) => void;
}

/** Editors write a file in several steps; a burst of changes is one pass. */
const quietSeconds = 0.015;
const longestSeconds = 1.5;
const secondLookSeconds = 1.5;
/** When a thousand sites go one after the other: systemd reads its units again in each pass that removed some. */
const manyEndSeconds = 5;
/** How long a file may be missing while an editor replaces it. */
const editorMilliseconds = 300;
/** A pass that takes longer than this hangs: the watchdog may end us. */
const longestPassSeconds = 1800;

/** A burst has as many reasons as files. */
const shortly = (reasons: readonly string[]): string =>
  reasons.length <= 3 ? reasons.join(', ') : `${reasons.slice(0, 2).join(', ')} and ${reasons.length - 2} more`;

export const runCommand = async (context: Context, options: RunOptions): Promise<ExitCode> => {
  const { log, notify } = options;
  const release = await acquire();
  if (release === null) {
    context.complain('another appfleet agent runs on this host; see: systemctl status appfleet');
    return 1;
  }
  const host = context.host();
  const reconciler = createReconciler(host, context.templates(), newPassword, () => pause(editorMilliseconds));
  const metrics = createMetrics(context.version, host.files);
  const pulls = createPulls(host.containers, context.steady, (image) => loop.trigger(`${image} was pulled, or not`));
  pulls.listen((line) => log.info(line));
  const passLog = createPassLog(log);
  let laterPass: (() => void) | null = null;
  const works = createWorks(context.steady, ({ step, outcome }, soon) => {
    const trigger = (): void => loop.trigger(`${describeStep(step)}: ${outcome}`);
    if (soon) trigger();
    else laterPass ??= systemTimers.after(manyEndSeconds * 1000, () => ((laterPass = null), trigger()));
  });
  works.listen((result) => {
    passLog.result(result);
    metrics.ended(result);
  });
  const renewals = createRenewals(host, context, log);
  const alarms = createCertificateAlarms(log, context.steady);
  const mirroring = createMirroring(host, context, log, () => wholePass(() => undefined));
  let last: Report | null = null;
  let passBegan: number | null = null;
  const pass = async (
    reasons: readonly string[],
    onSaid: (said: Said) => void = () => undefined,
    { only = null, beside = { pulls, works } }: { only?: ReadonlySet<string> | null; beside?: Beside } = {},
  ): Promise<Report> => {
    if (options.sockets.length > 0 && (await isRunFolderLost(host))) {
      // Not awaited: systemd ends us for it.
      void restoreRunFolder(host).catch(() => undefined);
      throw new AppFleetError('AF_FILE', `${paths.run} was removed; the agent starts anew with it`);
    }
    const began = context.steady();
    passBegan = began;
    try {
      const report = await reconciler.apply({
        width: 32,
        clock: context.steady,
        onProgress: (progress) => {
          log.info(progress);
          onSaid({ progress });
        },
        beside,
        only,
        onResult: (result) => {
          passLog.result(result);
          onSaid(result);
        },
      });
      const seconds = context.steady() - began;
      last = report;
      mirroring.passed(report.fleet);
      metrics.passed(report, seconds);
      passLog.standing(report);
      if (report.results.length > 0)
        log.info(`pass: ${report.results.length} steps in ${seconds.toFixed(2)} s (${shortly(reasons)})`);
      const { sites, services } = report.fleet;
      await notify.status(
        `${sites.length} sites, ${services.length} shared containers, ${report.problems.length + report.refusals.length} problems`,
      );
      return report;
    } catch (error) {
      metrics.passFailed(context.steady() - began);
      throw error;
    } finally {
      passBegan = null;
      // Left alone, the heap keeps room for the next thousand sites.
      context.tidyUp();
    }
  };

  // The API's apply and the loop's passes take turns: one pass at a time.
  let queue: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(work, work);
    queue = result.catch(() => undefined);
    return result;
  };

  const staysAway = createPatience(isOrdering);
  const loop = createLoop({
    pass: async (reasons) => {
      const lookAgain = (): void => void systemTimers.after(secondLookSeconds * 1000, () => loop.trigger(secondLook));
      if (await staysAway(reasons)) return lookAgain();
      // Not before all of the host was seen once.
      const only = last === null ? null : concernedSites(reasons);
      const { results } = await inTurn(() => pass(reasons, undefined, { only }));
      // A container that was being created meanwhile may have been made from the old settings.
      const late = results.some(
        ({ step, outcome }) => step.kind === 'write-file' && outcome === 'done' && !step.file.isUnit,
      );
      if (last !== null) {
        const { fleet } = last;
        await renewals.look(fleet);
        await alarms.look(() => viewCertificates(host, fleet));
      }
      if (late || only !== null) lookAgain();
    },
    onError: (error, retry) => log.error(`pass failed, next try in ${retry.toFixed(1)} s: ${messageOf(error)}`),
    quietSeconds,
    longestSeconds,
    intervalSeconds: () => last?.fleet.settings.passIntervalSeconds ?? 60,
    timers: systemTimers,
  });

  const wholePass = createWholePass({ pulls, works }, (onSaid, beside) =>
    inTurn(() => pass(['asked for'], onSaid, { beside })),
  );
  const routes = createRoutes({
    host,
    metrics,
    fleet: () => last?.fleet ?? null,
    pass: wholePass,
  });
  const api = createApi(routes);
  const socket = options.sockets[0];
  await new Promise<void>((resolve, reject) => {
    api.once('error', reject);
    if (socket !== undefined) api.listen({ fd: socket.fd }, resolve);
    else api.listen({ path: paths.api }, resolve);
  });

  const unwatch = await watchHost(host, loop, () => last, log);
  options.onReload(() => loop.trigger('SIGHUP'));

  let callOffWatchdog = (): void => undefined;
  const alive = async (): Promise<void> => {
    if (notify.watchdogMs === null) return;
    const hangs = passBegan !== null && context.steady() - passBegan > longestPassSeconds;
    if (!hangs) await notify.watchdog();
    callOffWatchdog = systemTimers.after(notify.watchdogMs, () => void alive());
  };

  log.info(`appfleet ${context.version} is ready`);
  await notify.ready('first pass');
  void alive();
  loop.trigger('start');
  const endIdleRounds = startIdleRounds(host, context.steady, () => last?.fleet ?? null, log);

  const signal = await options.ended;
  log.info(`ends on ${signal}`);
  notify.stopping();
  endIdleRounds();
  callOffWatchdog();
  unwatch();
  api.close();
  // A pass may be cut anywhere; a short one is still let finish so that the log ends well.
  await Promise.race([
    Promise.all([loop.stop(), mirroring.stop()]),
    new Promise((resolve) => setTimeout(resolve, 2000).unref()),
  ]);
  await release();
  return 0;
};
