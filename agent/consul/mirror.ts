/**
 * Keeps Consul's picture of this host true.
 *
 * INVARIANTS
 * - Nobody waits for Consul: whoever has news leaves a note and goes on.
 * - After each pass, and whenever Consul comes back, all that it has is compared with all that it should have. Between passes a
 *   change of state is compared with what it had then.
 * - What does not differ is not written. Signs of life stay with the local Consul agent, which passes on only what is new.
 * - While Consul is away it is tried with growing pauses, and said once.
 */
import { agentId, containerId, frontId, hostFolder, hostMeta, recordKey } from '../core/consul-names.ts';
import {
  afterChanges,
  asKnown,
  type ConsulChange,
  type ObservedRecords,
  type ObservedService,
  planMirror,
} from '../core/consul-plan.ts';
import { type MirrorIdentity, recordsOf } from '../core/consul-records.ts';
import { inWords } from '../errors.ts';
import { createBackoff } from '../net/backoff.ts';
import { createLimit, doAll } from '../net/limit.ts';
import type { Timers } from '../net/timers.ts';
import type { Fleet } from '../reconcile/fleet.ts';
import type { Look } from './look.ts';
import type { Others } from './others.ts';
import type { Consul, KeyChange } from './ports.ts';
import { isRefusal } from './refusal.ts';

export interface MirrorOptions {
  consul: Consul;
  look: Look;
  /** What else there is to tell, and the folders of its keys; null when nothing is. */
  others: Others | null;
  identity: MirrorIdentity;
  timers: Timers;
  log: { info(line: string): void; warn(line: string): void };
}

export interface Mirror {
  /** After each pass: everything is compared soon. */
  passed(fleet: Fleet): void;
  /** Something happened to this member. */
  changed(name: string): void;
  /** Ends it; with `retract` all of this host's records are taken out of Consul first, as far as it answers. */
  stop(retract: boolean): Promise<void>;
}

/** News that come together are written together. */
const quietMs = 15;
/** How soon it is noticed that Consul went, or came back without what it knew. */
const pulseMs = 5000;
const firstRetryMs = 500;
const lastRetryMs = 30_000;
const parallelCalls = 16;

const isKey = (change: ConsulChange): change is KeyChange => change.kind === 'put' || change.kind === 'delete';

export const createMirror = ({ consul, look, others, identity, timers, log }: MirrorOptions): Mirror => {
  const { host, consul: settings } = identity;
  const { kvPrefix, ttlSeconds } = settings;
  const backoff = createBackoff(firstRetryMs, lastRetryMs);
  const limit = createLimit(parallelCalls);
  const everyMs = Math.min(pulseMs, ttlSeconds * 250);
  let fleet: Fleet | null = null;
  let whole = false;
  const names = new Set<string>();
  /** What Consul has; null while it is away. */
  let known: ObservedRecords | null = null;
  let running: Promise<void> | null = null;
  let callOff: (() => void) | null = null;
  let callOffPulse = (): void => undefined;
  let trouble: string | null = null;
  const told = new Set<string>();
  /** When each service was reported on last. */
  const reported = new Map<string, number>();
  let stopped = false;

  const once = (line: string): void => {
    if (!told.has(line)) log.warn(line);
    told.add(line);
  };

  const carryOut = (changes: readonly ConsulChange[]): Promise<void> =>
    doAll(limit, [
      () => consul.writeKeys(changes.filter(isKey)),
      ...changes.map((change) => async () => {
        if (change.kind === 'register')
          await consul.register(change, ttlSeconds).catch((error: unknown) => {
            if (!isRefusal(error)) throw error;
            once(inWords(error));
          });
        else if (change.kind === 'deregister') await consul.deregister(change.id);
        else if (change.kind === 'check' && !(await consul.report(change.id, change.status, change.output)))
          whole = true;
      }),
    ]);

  const idsOf = (some: Iterable<string>): Set<string> =>
    new Set(
      [...some].flatMap((name) => [
        frontId(host, name),
        containerId(host, name),
        recordKey(kvPrefix, host, 'site', name),
        recordKey(kvPrefix, host, 'service', name),
      ]),
    );

  /** Says of these services what Consul was told last. Those that it does not know are told anew. */
  const reportOn = (services: readonly ObservedService[]): Promise<void> =>
    doAll(
      limit,
      services.map(({ id, check }) => async () => {
        reported.set(id, timers.now());
        if (check === null || !(await consul.report(id, check.status, check.output))) whole = true;
      }),
    );

  /** What we report on; other services of this host are probed by Consul itself. */
  const ours = (): ObservedService[] =>
    [...(known?.services.values() ?? [])].filter(
      ({ id, meta }) => meta[hostMeta] === host && `${id}:`.startsWith(`${agentId(host)}:`),
    );

  const observe = async (): Promise<ObservedRecords> => {
    const found = await consul.observe([hostFolder(kvPrefix, host), ...(others?.folders ?? [])]);
    return others === null ? found : others.claim(found);
  };

  const compare = async (now: Fleet, only: ReadonlySet<string> | null): Promise<void> => {
    const isNew = known === null;
    const members = await look.at(now, only);
    const found = only === null || known === null ? await observe() : known;
    const more = only === null ? await others?.records() : undefined;
    const kept = idsOf(now.keep);
    const present = idsOf(members.map(({ name }) => name));
    const concerned = only === null ? null : idsOf(only);
    const own = asKnown(recordsOf(members, identity, only === null), found, kept);
    const wanted = {
      services: new Map([...(more?.services ?? []), ...own.services]),
      keys: new Map([...(more?.keys ?? []), ...own.keys]),
    };
    const mayRemove = (what: string): boolean =>
      (concerned === null || concerned.has(what)) && (!kept.has(what) || present.has(what));
    const { changes, taken } = planMirror(wanted, found, host, mayRemove);
    for (const what of taken) once(`Consul has ${what} without our mark: it is left as it is`);
    await carryOut(changes);
    known = afterChanges(found, changes);
    for (const id of reported.keys()) if (!known.services.has(id)) reported.delete(id);
    // Before a first look some may be about to turn critical.
    if (isNew) await reportOn(ours().filter(({ id }) => !changes.some((change) => 'id' in change && change.id === id)));
  };

  const failed = (error: unknown): void => {
    known = null;
    whole = true;
    consul.reopen();
    const words = inWords(error);
    if (trouble !== words) log.warn(`${words}; sites go on without it`);
    trouble = words;
  };

  const round = async (): Promise<void> => {
    if (fleet === null) return;
    const only = whole || known === null ? null : new Set(names);
    whole = false;
    names.clear();
    try {
      await compare(fleet, only);
      backoff.reset();
      if (trouble !== null) log.info(`Consul at ${consul.place} knows this host again`);
      trouble = null;
    } catch (error) {
      failed(error);
    }
  };

  /** A sign of life of the agent at each pulse, and of the others in turns, each three times within its TTL. */
  const pulse = async (): Promise<void> => {
    const all = ours();
    const own = agentId(host);
    const turn = Math.ceil((all.length * everyMs) / (ttlSeconds * 300));
    const others = all
      .filter(({ id }) => id !== own)
      .sort((a, b) => (reported.get(a.id) ?? 0) - (reported.get(b.id) ?? 0))
      .slice(0, turn);
    const agents = all.filter(({ id }) => id === own);
    if (agents.length === 0) whole = true;
    await reportOn([...agents, ...others]).catch(failed);
  };

  /** One thing at a time: a sign of life that is under way must not overtake news. */
  const inTurn = (work: () => Promise<void>): void => {
    running = work().finally(() => {
      running = null;
      schedule();
    });
  };

  const schedule = (): void => {
    if (stopped || running !== null || callOff !== null || fleet === null) return;
    if (!whole && names.size === 0) return;
    callOff = timers.after(trouble === null ? quietMs : backoff.next(), () => {
      callOff = null;
      if (running === null) inTurn(round);
    });
  };

  const beat = (): void => {
    callOffPulse = timers.after(everyMs, () => {
      if (known !== null && running === null) inTurn(pulse);
      beat();
    });
  };
  beat();

  const retract = async (): Promise<void> => {
    const found = await observe();
    const { changes } = planMirror({ services: new Map(), keys: new Map() }, found, host, () => true);
    await carryOut(changes);
  };

  return {
    passed: (now) => {
      fleet = now;
      whole = true;
      schedule();
    },
    changed: (name) => {
      names.add(name);
      schedule();
    },
    stop: async (takeOut) => {
      stopped = true;
      callOff?.();
      callOffPulse();
      await running;
      if (takeOut) await retract().catch((error: unknown) => log.warn(`records stay behind: ${inWords(error)}`));
      consul.close();
    },
  };
};
