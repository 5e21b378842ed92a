/** All containers of the host, ours or not. */
import Docker from 'dockerode';
import type { Readable } from 'node:stream';
import type { ContainerView } from '../consul/ports.ts';
import type { ContainerFacts, PublishedPort } from '../core/container-facts.ts';
import { AppFleetError, messageOf } from '../errors.ts';
import { createLimit } from '../net/limit.ts';
import { systemTimers } from '../net/timers.ts';
import { followLines } from './docker-events.ts';

/** Docker shows the verdict of a HEALTHCHECK in the text for people only: "Up 3 minutes (healthy)". */
const healthIn = (status: string): 'starting' | 'healthy' | 'unhealthy' | null => {
  const word = /\((?:health: )?(starting|healthy|unhealthy)\)/.exec(status)?.[1];
  return word === 'starting' || word === 'healthy' || word === 'unhealthy' ? word : null;
};

const portsOf = (inspected: Docker.ContainerInspectInfo): PublishedPort[] =>
  // Types say that all have bindings; those that are not published have null.
  Object.entries(inspected.NetworkSettings.Ports as Record<string, { HostIp: string; HostPort: string }[] | null>).map(
    ([key, bindings]) => {
      const [number, protocol] = key.split('/');
      const at = bindings?.[0];
      return {
        exposed: Number(number),
        protocol: protocol === 'udp' ? 'udp' : 'tcp',
        host: at === undefined ? null : { address: at.HostIp, port: Number(at.HostPort) },
      };
    },
  );

const factsOf = (inspected: Docker.ContainerInspectInfo): ContainerFacts => ({
  id: inspected.Id,
  name: inspected.Name.replace(/^\//, ''),
  image: inspected.Config.Image,
  imageId: inspected.Image,
  env: inspected.Config.Env,
  labels: inspected.Config.Labels,
  address:
    Object.values(inspected.NetworkSettings.Networks)
      .map(({ IPAddress }) => IPAddress)
      .find((address) => address !== '') ?? '',
  ports: portsOf(inspected),
  inspected: { ...inspected },
});

const actions = ['start', 'die', 'rename'] as const;

export const createContainerView = (socketPath = '/run/docker.sock'): ContainerView => {
  // An empty host: DOCKER_HOST in the environment would otherwise win over the socket.
  const docker = new Docker({ socketPath, host: '', timeout: 30_000 });
  const streams = new Docker({ socketPath, host: '' });
  const limit = createLimit(16);
  /** By id, as long as the list says the same of it. */
  let known = new Map<string, { summary: string; facts: ContainerFacts }>();
  return {
    running: async () => {
      try {
        const found = await docker.listContainers();
        return found.map((one) => ({
          name: (one.Names[0] ?? '').replace(/^\//, ''),
          address:
            Object.values(one.NetworkSettings.Networks)
              .map(({ IPAddress }) => IPAddress)
              .find((address) => address !== '') ?? null,
          health: healthIn(one.Status),
        }));
      } catch (error) {
        throw new AppFleetError('AF_DOCKER', `cannot list containers: ${messageOf(error)}`, { cause: error });
      }
    },
    facts: async () => {
      try {
        const found = await docker.listContainers();
        const all = await Promise.all(
          found.map((one) =>
            limit(async () => {
              const { Id, Names, Created, Ports, NetworkSettings } = one;
              const summary = JSON.stringify([Names, Created, Ports, NetworkSettings, one.State]);
              const last = known.get(Id);
              if (last?.summary === summary) return last;
              return { summary, facts: factsOf(await docker.getContainer(Id).inspect()) };
            }).catch((error: unknown) => {
              // It ended meanwhile.
              if (error instanceof Error && 'statusCode' in error && error.statusCode === 404) return null;
              throw error;
            }),
          ),
        );
        const present = all.flatMap((one) => one ?? []);
        known = new Map(present.map((one) => [one.facts.id, one]));
        return present.map(({ facts }) => facts);
      } catch (error) {
        throw new AppFleetError('AF_DOCKER', `cannot inspect containers: ${messageOf(error)}`, { cause: error });
      }
    },
    watch: (onChange) =>
      followLines({
        timers: systemTimers,
        open: async (abortSignal) =>
          (await streams.getEvents({ filters: { type: ['container'], event: [...actions] }, abortSignal })) as Readable,
        onOpen: () => onChange(null),
        onLine: (line) => {
          if (line.trim() === '') return;
          const { Action, Actor } = JSON.parse(line) as { Action?: string; Actor?: { ID?: string } };
          const action = actions.find((one) => one === Action);
          if (action !== undefined && Actor?.ID !== undefined) onChange({ id: Actor.ID, action });
        },
      }),
  };
};
