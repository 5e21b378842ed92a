/**
 * The agent's figures in Prometheus' text format.
 *
 * INVARIANTS
 * - What happened to sites without the agent counts as well: wakes are read from the files that units/launch appends to, each
 *   line once, so that a restarted agent tells the same totals as one that never ended.
 * - A site that is gone has no series any more.
 */
import { memberStates } from '../core/member-state.ts';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { failedFile, wakesFile } from '../core/names.ts';
import type { Files } from '../ports.ts';
import { parseFailure, parseWakes } from '../switchboard/state.ts';
import type { StepResult } from './apply.ts';
import type { Report } from './reconcile.ts';
import type { SiteStatus } from './status.ts';

export interface Metrics {
  /** Counts a pass that came to its end, and its steps. */
  passed(report: Report, seconds: number): void;
  /** Counts a step that went on beside the passes, and has ended. */
  ended(result: StepResult): void;
  /** Counts a pass that could not be carried out at all. */
  passFailed(seconds: number): void;
  /** Everything as text, for the members of these statuses. */
  text(statuses: readonly SiteStatus[]): Promise<string>;
}

/** What has been counted of a site so far. */
interface Counted {
  wakes: number;
  /** Failures in a row when last seen. */
  failures: number;
}

export const createMetrics = (version: string, files: Pick<Files, 'read'>): Metrics => {
  const registry = new Registry();
  const registers = [registry];
  const site = ['site'] as const;
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[]): Gauge<L> =>
    new Gauge({ name: `appfleet_${name}`, help, labelNames: [...labelNames], registers });
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> =>
    new Counter({ name: `appfleet_${name}`, help, labelNames: [...labelNames], registers });

  const state = gauge('site_state', '1 for the state that the site is in, 0 for the others', ['site', 'state']);
  const held = gauge('requests_held', 'Connections that wait for the container of the site', site);
  const connections = gauge('connections', 'Connections to the container of the site', site);
  const memory = gauge('memory_bytes', 'Memory of the container, caches excepted', site);
  const lastRequest = gauge('last_request_timestamp_seconds', 'When a connection to the container was last made', site);
  const problem = gauge('site_problem', '1 while something is wrong with the site or its file', site);
  const expiry = gauge('certificate_expiry_timestamp_seconds', "When the site's certificate expires", site);
  const renewal = gauge('certificate_renewal_timestamp_seconds', 'When an order is thought of again', site);
  const orderFailures = gauge('certificate_order_failures', 'Orders in a row that failed', site);
  const leftOut = gauge('certificate_names_left_out', 'Names of the site that its certificate goes without', site);
  const wakes = counter('wakes_total', 'Starts of the container since the host booted', site);
  const wakeSeconds = new Histogram({
    name: 'appfleet_wake_seconds',
    help: 'Time from the start of the container until it took requests',
    labelNames: site,
    buckets: [0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60],
    registers,
  });
  const failures = counter(
    'start_failures_total',
    'Starts of the container that failed, as far as the agent saw',
    site,
  );
  const passes = counter('passes_total', 'Passes over the host', ['result']);
  const passSeconds = new Histogram({
    name: 'appfleet_pass_seconds',
    help: 'Duration of passes',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
    registers,
  });
  const steps = counter('steps_total', 'Steps of passes', ['kind', 'outcome']);
  gauge('build_info', 'Version of the agent', ['version']).set({ version }, 1);
  for (const result of ['ok', 'incomplete', 'error']) passes.inc({ result }, 0);

  const counted = new Map<string, Counted>();

  const forget = (name: string): void => {
    counted.delete(name);
    for (const metric of [wakes, wakeSeconds, failures]) metric.remove({ site: name });
  };

  const countWakes = async (name: string, seen: Counted, total: number): Promise<void> => {
    if (total === seen.wakes) return;
    const all = parseWakes(await files.read(wakesFile(name)));
    for (const { seconds } of all.slice(seen.wakes)) wakeSeconds.observe({ site: name }, seconds);
    wakes.inc({ site: name }, all.length - seen.wakes);
    seen.wakes = all.length;
  };

  /** The file tells failures in a row, so a smaller number means that it began anew. */
  const countFailures = async (name: string, seen: Counted): Promise<void> => {
    const now = parseFailure(await files.read(failedFile(name)))?.count ?? 0;
    failures.inc({ site: name }, now >= seen.failures ? now - seen.failures : now);
    seen.failures = now;
  };

  const countStarts = async (status: SiteStatus): Promise<void> => {
    const { name } = status;
    let seen = counted.get(name);
    // Removed and made anew since the last look, or another boot of the host.
    if (seen !== undefined && status.wakes < seen.wakes) {
      forget(name);
      seen = undefined;
    }
    if (seen === undefined) counted.set(name, (seen = { wakes: 0, failures: 0 }));
    wakes.inc({ site: name }, 0);
    await countWakes(name, seen, status.wakes);
    await countFailures(name, seen);
  };

  const setCertificate = ({ name, certificate }: SiteStatus): void => {
    if (certificate === null) return;
    const { expires, renewal: again, failure, leftOut: names } = certificate;
    if (expires !== null) expiry.set({ site: name }, Date.parse(expires) / 1000);
    if (again !== null) renewal.set({ site: name }, Date.parse(again) / 1000);
    orderFailures.set({ site: name }, failure?.count ?? 0);
    leftOut.set({ site: name }, names.length);
  };

  return {
    passed: ({ results, problems, refusals }, seconds) => {
      const whole = results.every(({ outcome }) => outcome === 'done') && problems.length + refusals.length === 0;
      passes.inc({ result: whole ? 'ok' : 'incomplete' });
      passSeconds.observe(seconds);
      for (const { step, outcome } of results) steps.inc({ kind: step.kind, outcome });
    },
    ended: ({ step, outcome }) => steps.inc({ kind: step.kind, outcome }),
    passFailed: (seconds) => {
      passes.inc({ result: 'error' });
      passSeconds.observe(seconds);
    },
    text: async (statuses) => {
      for (const metric of [state, held, connections, memory, lastRequest, problem]) metric.reset();
      for (const metric of [expiry, renewal, orderFailures, leftOut]) metric.reset();
      const present = new Set(statuses.map(({ name }) => name));
      for (const name of counted.keys()) if (!present.has(name)) forget(name);
      for (const status of statuses) {
        const labels = { site: status.name };
        for (const one of memberStates) state.set({ ...labels, state: one }, status.state === one ? 1 : 0);
        problem.set(labels, status.problem === null ? 0 : 1);
        setCertificate(status);
        if (status.idle === null && status.runtime === 'static') continue;
        held.set(labels, status.held);
        connections.set(labels, status.connections);
        if (status.memoryBytes !== null) memory.set(labels, status.memoryBytes);
        if (status.lastRequest !== null) lastRequest.set(labels, Date.parse(status.lastRequest) / 1000);
        await countStarts(status);
      }
      return registry.metrics();
    },
  };
};
