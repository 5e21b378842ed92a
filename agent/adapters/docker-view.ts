/** All containers of the host, ours or not. */
import Docker from 'dockerode';
import type { ContainerView } from '../consul/ports.ts';
import { AppFleetError, messageOf } from '../errors.ts';

/** Docker shows the verdict of a HEALTHCHECK in the text for people only: "Up 3 minutes (healthy)". */
const healthIn = (status: string): 'starting' | 'healthy' | 'unhealthy' | null => {
  const word = /\((?:health: )?(starting|healthy|unhealthy)\)/.exec(status)?.[1];
  return word === 'starting' || word === 'healthy' || word === 'unhealthy' ? word : null;
};

export const createContainerView = (socketPath = '/run/docker.sock'): ContainerView => {
  // An empty host: DOCKER_HOST in the environment would otherwise win over the socket.
  const docker = new Docker({ socketPath, host: '', timeout: 30_000 });
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
  };
};
