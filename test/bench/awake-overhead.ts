/** What an awake site takes apart from its container: the private memory of all processes that are there because of it. */
import { type Figure, median } from './figure.ts';
import type { Lab, Part } from './lab.ts';
import type { ProcessMemory } from './programs/processes.ts';

const each = 3;
const root = '/srv/www/awake';
const runtimes: Readonly<Record<string, string>> = {
  'php-fpm': `runtime = php-fpm\ntls = off\nimage = php:fpm\nroot = ${root}\nnetwork = none`,
  node: `runtime = node\ntls = off\nimage = demo/node-app\nnetwork = none`,
  container: `runtime = container\ntls = off\nimage = demo/http\nport = 3000`,
};
const domain = (runtime: string, number: number): string => `awake-${runtime}-${number}.example.org`;
const sites = Object.entries(runtimes).flatMap(([runtime, file]) =>
  Array.from({ length: each }, (_, number) => ({ runtime, name: domain(runtime, number + 1), file })),
);

const megabyte = 1e6;

const processes = (lab: Lab): Promise<ProcessMemory[]> => lab.measure<ProcessMemory[]>('processes', null);

/** The shims among them, and everything below those: the containers' own. */
const containersOf = (all: readonly ProcessMemory[]): { shims: Set<number>; inside: Set<number> } => {
  const shims = new Set(all.filter(({ command }) => /\/containerd-shim/.test(command)).map(({ pid }) => pid));
  const inside = new Set<number>();
  const walk = (parent: number): void => {
    for (const { pid } of all.filter((one) => one.parent === parent)) {
      inside.add(pid);
      walk(pid);
    }
  };
  for (const shim of shims) walk(shim);
  return { shims, inside };
};

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

const wakeAll = async ({ fleet, host }: Lab): Promise<void> => {
  for (const { name } of sites) {
    const { status, body } = await fleet.ask(name, '/');
    if (status !== 200) throw new Error(`${name} answered ${status}: ${body.slice(0, 300)}`);
  }
  // What hands over the first request goes away with it.
  await host.sh(`for i in $(seq 100); do
      systemctl list-units --plain --no-legend 'appfleet-wake@*' | grep -q . || exit 0
      sleep 0.1
    done
    systemctl list-units 'appfleet-wake@*'; exit 1`);
};

const figuresOf = (before: readonly ProcessMemory[], after: readonly ProcessMemory[]): Figure[] => {
  const { shims, inside } = containersOf(after);
  const old = new Set(before.map(({ pid }) => pid));
  const fresh = after.filter(({ pid, command }) => !old.has(pid) && !inside.has(pid) && !command.includes('bench/'));
  const ours = fresh.filter(({ pid }) => !shims.has(pid));
  const ownerOf = ({ command, cgroup }: ProcessMemory) =>
    sites.find(({ name }) => cgroup.includes(`/${name}-app.service`) || command.includes(name));
  const strays = ours.filter((process) => ownerOf(process) === undefined);
  if (strays.length > 0) throw new Error(`whose are these? ${strays.map(({ command }) => command).join(', ')}`);

  const figures = Object.keys(runtimes).map((runtime): Figure => {
    const perSite = sites
      .filter((site) => site.runtime === runtime)
      .map(({ name }) => ours.filter((process) => ownerOf(process)?.name === name));
    const count = perSite[0]?.length ?? 0;
    return {
      name: `awake site, ${runtime}: private memory beside its container`,
      value: median(perSite.map((list) => sum(list.map((process) => process.private)))) / megabyte,
      unit: 'MB',
      target: { atMost: 2 },
      from: `${count} process${count === 1 ? '' : 'es'}, ${sites.length} sites awake`,
    };
  });
  const shimMemory = after.filter(({ pid }) => shims.has(pid) && !old.has(pid)).map((process) => process.private);
  return [
    ...figures,
    {
      name: "awake site: private memory of Docker's shim, not counted above",
      value: median(shimMemory) / megabyte,
      unit: 'MB',
      target: null,
      from: `${shimMemory.length} shims`,
    },
  ];
};

export const awakeOverhead: Part = async (lab) => {
  const { host, fleet, log } = lab;
  log(`awake sites: ${sites.length} of ${Object.keys(runtimes).length} runtimes`);
  await host.write(`${root}/index.php`, "<?php echo 'hello';\n");
  for (const { name, file } of sites) await fleet.putSite(name, `${file}\nidle = 1h`);
  try {
    const applied = await fleet.apply();
    if (applied.code !== 0) throw new Error(`${applied.stdout}${applied.stderr}`);
    const before = await processes(lab);
    await wakeAll(lab);
    return figuresOf(before, await processes(lab));
  } finally {
    for (const { name } of sites) await fleet.removeSite(name);
    await fleet.apply();
  }
};
