import { takeContainer } from './container-keys.ts';
import { openForm } from './form.ts';
import { fileKinds, serviceKeys as keys } from './keys.ts';
import type { Problem, SourceFile } from './problem.ts';
import { parseServiceName } from './scalar.ts';
import { stem } from './site.ts';
import type { ServiceSpec } from './spec.ts';
import { shown } from './value.ts';

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
  if (spec.aliases.includes(spec.name))
    form.refuse(keys.aliases, `${shown(spec.name)} is the service's own name`, 'remove it from the aliases');
  const problems = form.problems();
  return problems.length === 0 ? { spec } : { problems };
};
