/** One pass: read the files, make the desired state, observe, plan, and (unless only asked what would happen) apply. */
import { afterSteps, certificateSteps, type ObservedCertificates, pairOf } from '../core/certificate-plan.ts';
import { desiredService, desiredSite, type Member } from '../core/desired.ts';
import { goodSettings, paths } from '../core/names.ts';
import { planChanges } from '../core/plan.ts';
import type { Step } from '../core/step.ts';
import type { Problem } from '../core/problem.ts';
import { withRootPassword } from '../core/secrets.ts';
import type { ServiceSpec, Settings, SiteSpec } from '../core/spec.ts';
import type { Templates } from '../core/template.ts';
import { renderShared, vhostCandidate, type VhostCandidate } from '../core/vhost.ts';
import { messageOf } from '../errors.ts';
import type { Host, VhostChanges, VhostProblem, VhostRefusal } from '../ports.ts';
import { applyPlan, type ApplyOptions, type StepResult } from './apply.ts';
import type { Beside } from './beside.ts';
import { certificateExecutors, observeCertificates, sharedFacts } from './certificates.ts';
import { createExecutors } from './execute.ts';
import { createFleetReader, type Environment, type Fleet } from './fleet.ts';
import { observe } from './observe.ts';
import { createReaders, type Reader } from './reader.ts';
import { withPorts } from './taken-ports.ts';
import { type FleetWithUploads, withUploads } from './uploads.ts';

export interface Report {
  fleet: Fleet;
  problems: readonly Problem[];
  /** Vhosts that nginx refused and that stand refused. */
  refusals: readonly VhostRefusal[];
  plan: readonly Step[];
  results: readonly StepResult[];
}

export interface Reconciler {
  /** What a pass would do, without doing it. */
  plan(): Promise<{ fleet: Fleet; problems: readonly Problem[]; steps: readonly Step[] }>;
  /** What is wrong with the files, and what nginx would say about their vhosts. Changes nothing; throws what `web` throws. */
  rehearse(): Promise<{ fleet: Fleet; problems: readonly Problem[]; refusals: readonly VhostProblem[] }>;
  /**
   * With `beside` the pass only begins what takes long, and leaves the sites that wait for it for a later one. With `only` the
   * other sites are left as they are but for their vhosts: a change of one among thousands is served sooner. With `nothing` the
   * host is made what it would be if there were no files.
   */
  apply(
    options: ApplyOptions & {
      onProgress: (line: string) => void;
      beside?: Beside;
      only?: ReadonlySet<string> | null;
      nothing?: boolean;
    },
  ): Promise<Report>;
}

/** Remembers what was made from the same objects, so that a pass over 1,000 unchanged sites renders none. */
const rendered = <S extends object, R>(make: (spec: S, key: string) => R): ((spec: S, key: string) => R) => {
  const known = new WeakMap<S, { key: string; result: R }>();
  return (spec, key) => {
    const last = known.get(spec);
    if (last?.key === key) return last.result;
    const result = make(spec, key);
    known.set(spec, { key, result });
    return result;
  };
};

const withoutMembers = (fleet: FleetWithUploads): FleetWithUploads => ({
  ...fleet,
  sites: [],
  services: [],
  problems: [],
  keep: new Set(),
  needsSecret: false,
});

export const createReconciler = (
  host: Host,
  templates: Templates,
  newPassword: () => string,
  pause?: () => Promise<void>,
): Reconciler => {
  const beginLook = createReaders(host.files);
  const readFleet = createFleetReader(host.files, pause);
  const site = rendered((spec: SiteSpec, key: string): Member => {
    const { env, settings } = JSON.parse(key) as { env: Environment; settings: Settings };
    return desiredSite(spec, env, settings, templates);
  });
  const service = rendered((spec: ServiceSpec, key: string): Member =>
    desiredService(spec, (JSON.parse(key) as { env: Environment }).env, templates),
  );
  const vhosts = new WeakMap<SiteSpec, { key: string; candidate: VhostCandidate }>();

  /** What the files ask for, as long as the host's certificates are these. */
  const wish = async (fleet: FleetWithUploads, certificates: ObservedCertificates) => {
    const { settings } = fleet;
    const facts = await host.web.facts();
    const common = await sharedFacts(host, fleet);
    const problems = [...fleet.problems, ...common.problems];
    const keep = new Set(fleet.keep);
    const members: Member[] = [];
    const candidates: VhostCandidate[] = [];
    // A value that passed the parser and still cannot be written is our mistake; it must not cost the other sites anything.
    const guard = (spec: SiteSpec | ServiceSpec, make: () => void): void => {
      try {
        make();
      } catch (error) {
        problems.push({ file: spec.file, message: messageOf(error) });
        keep.add(spec.name);
      }
    };
    for (const spec of fleet.services)
      guard(spec, () => members.push(service(spec, JSON.stringify({ env: fleet.environments.get(spec.name) }))));
    const factsKey = JSON.stringify([facts.version, facts.ipv6, settings]);
    for (const spec of fleet.sites)
      guard(spec, () => {
        const member = site(spec, JSON.stringify({ env: fleet.environments.get(spec.name), settings }));
        const snippets = fleet.snippets.get(spec.name) ?? { server: null, location: null };
        const pair = pairOf(spec, certificates);
        const key = factsKey + JSON.stringify([snippets, pair]);
        const known = vhosts.get(spec);
        const candidate =
          known?.key === key ? known.candidate : vhostCandidate(spec, facts, snippets, settings, templates, pair);
        vhosts.set(spec, { key, candidate });
        members.push(member);
        candidates.push(candidate);
      });
    const shared = renderShared(settings, facts, templates, common);
    return { problems, keep, members, candidates, shared };
  };

  /** All that has to be done, as long as the host's certificates are these. */
  const look = async (
    fleet: FleetWithUploads,
    readText: Reader,
    certificates: ObservedCertificates,
    only: ReadonlySet<string> | null,
  ) => {
    const { problems, keep, members, candidates, shared } = await wish(fleet, certificates);
    // Shared containers are looked at in any case: who needs them cannot be judged without.
    const concerned = members.filter(({ name, kind }) => only === null || kind === 'service' || only.has(name));
    if (only !== null) {
      // Also those whose files went meanwhile: their units were not looked at.
      const looked = new Set([...only, ...concerned.map(({ name }) => name)]);
      const known = [...members.map(({ name }) => name), ...(await host.files.list(`${paths.state}/start`))];
      for (const name of known) if (!looked.has(name)) keep.add(name);
    }
    const observed = await observe(host, readText, concerned, keep, candidates, shared, only);
    const steps = planChanges({ members: concerned, keep }, observed.state, observed.ownerOf);
    return { problems, steps, vhosts: observed.vhosts };
  };

  /** The database's root password is made before anything that needs it is. */
  const ensureSecret = async (fleet: Fleet): Promise<boolean> => {
    if (!fleet.needsSecret) return false;
    const text = await host.files.read(paths.secrets);
    await host.files.write({ path: paths.secrets, text: withRootPassword(text, newPassword()), mode: 0o600 });
    return true;
  };

  const read = async (readText: Reader): Promise<FleetWithUploads> =>
    withUploads(await withPorts(await readFleet(readText), host), host.certificates);

  return {
    plan: async () => {
      const readText = beginLook();
      const fleet = await read(readText);
      const certificates = await observeCertificates(host.certificates, fleet);
      const before = certificateSteps(fleet.sites, certificates);
      const { problems, steps } = await look(
        fleet,
        readText,
        before.length === 0 ? certificates : afterSteps(certificates),
        null,
      );
      return { fleet, problems, steps: [...before, ...steps] };
    },
    rehearse: async () => {
      const fleet = await read(beginLook());
      const { problems, keep, candidates, shared } = await wish(
        fleet,
        await observeCertificates(host.certificates, fleet),
      );
      const changes = await host.web.compare(candidates, shared, keep);
      // All of them: what was refused before has its place named again.
      const refusals = await host.web.rehearse({ ...changes, change: candidates });
      return { fleet, problems, refusals };
    },
    apply: async ({ onProgress, beside, only = null, nothing = false, ...options }) => {
      let readText = beginLook();
      let fleet = await read(readText);
      if (nothing) fleet = withoutMembers(fleet);
      if (await ensureSecret(fleet)) {
        onProgress(`made a database root password in ${paths.secrets}`);
        readText = beginLook();
        fleet = await read(readText);
      }
      const inHand = certificateExecutors(host, fleet);
      const carryOut = (steps: readonly Step[], changes: VhostChanges, done: number): Promise<StepResult[]> =>
        applyPlan(steps, createExecutors(host, changes, onProgress, beside ?? null, inHand), {
          ...options,
          onStep: (step, index) => options.onStep?.(step, done + index),
        });
      let certificates = await observeCertificates(host.certificates, fleet);
      // Vhosts name what is there, not what should be: a certificate that could not be written takes no vhost along.
      const before = certificateSteps(fleet.sites, certificates);
      const first = await carryOut(before, { change: [], remove: [], shared: null }, 0);
      if (before.length > 0) certificates = await observeCertificates(host.certificates, fleet);
      const { problems, steps, vhosts: changes } = await look(fleet, readText, certificates, only);
      // Only a convenience: a full disk must not keep anything else from being done.
      if (fleet.goodSettings !== null)
        await host.files.write({ path: goodSettings, text: fleet.goodSettings, mode: 0o644 }).catch(() => undefined);
      const results = [...first, ...(await carryOut(steps, changes, before.length))];
      return { fleet, problems, refusals: await host.web.refusals(), plan: [...before, ...steps], results };
    },
  };
};
