import { takeContainer } from './container-keys.ts';
import { openForm } from './form.ts';
import { fileKinds, serviceKeys as keys } from './keys.ts';
import { paths } from './names.ts';
import type { Problem, SourceFile } from './problem.ts';
import { parseServiceName } from './scalar.ts';
import { rootPassword, weakPassword } from './secrets.ts';
import { stem } from './site.ts';
import type { ServiceSpec } from './spec.ts';
import { shown } from './value.ts';

const rootPasswords = [rootPassword, 'MARIADB_ROOT_PASSWORD'];

/** The typed form of a shared container's file, or every problem in it at once. The file's name is the service's. */
export const parseService = (source: SourceFile): { spec: ServiceSpec } | { problems: Problem[] } => {
  const form = openForm(source, fileKinds.service);
  const name = parseServiceName(stem(source.path));
  if (!name.ok) form.refuse(null, `the file's name must be the service's: ${name.message}`, name.hint);
  form.require(keys.image);
  const spec: ServiceSpec = {
    name: name.ok ? name.value : '',
    file: source.path,
    container: takeContainer(form, keys),
    aliases: form.takeOr(keys.aliases, []),
    ready: form.take(keys.ready),
    idleSeconds: form.takeOr(keys.idle, 'never'),
  };
  for (const name of rootPasswords) {
    const weak = Object.hasOwn(spec.container.env, name) ? weakPassword(spec.container.env[name] ?? '') : null;
    if (weak !== null)
      form.refuse({ section: 'env', name }, weak, `remove the line: the one in ${paths.secrets} is used`);
  }
  if (spec.aliases.includes(spec.name))
    form.refuse(keys.aliases, `${shown(spec.name)} is the service's own name`, 'remove it from the aliases');
  const problems = form.problems();
  return problems.length === 0 ? { spec } : { problems };
};
