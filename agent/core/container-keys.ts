import type { Form } from './form.ts';
import type { Key } from './keys.ts';
import type { ContainerSpec, Volume } from './spec.ts';

/** Keys that sites and shared containers have in common. */
interface ContainerKeys {
  image: Key<string>;
  command: Key<readonly string[]>;
  env_file: Key<string>;
  volumes: Key<readonly Volume[]>;
  memory: Key<number>;
  cpus: Key<number>;
  start_timeout: Key<number>;
  stop_timeout: Key<number>;
  network: Key<string>;
  needs: Key<readonly string[]>;
}

/** The container that a file describes. */
export const takeContainer = (form: Form, keys: ContainerKeys): ContainerSpec => ({
  image: form.takeOr(keys.image, ''),
  command: form.takeOr(keys.command, []),
  env: Object.fromEntries(form.takeFree('env')),
  envFile: form.take(keys.env_file),
  volumes: form.takeOr(keys.volumes, []),
  memory: form.take(keys.memory),
  cpus: form.take(keys.cpus),
  startTimeoutSeconds: form.takeOr(keys.start_timeout, 0),
  stopTimeoutSeconds: form.takeOr(keys.stop_timeout, 0),
  network: form.takeOr(keys.network, 'bridge'),
  needs: form.takeOr(keys.needs, []),
});
