/** The units of a site or a shared container, as text. What depends on what is said in units/*.mustache. */
import {
  appUnit,
  generated,
  httpSocket,
  openMark,
  paths,
  siteUnit,
  socketUnit,
  wakeSocket,
  wakeUnit,
} from './names.ts';
import type { ContainerSpec, ServiceSpec, SiteSpec } from './spec.ts';
import { render, template, type Templates, type View } from './template.ts';

const plain = /^[A-Za-z0-9 _.:;,@/()=+~-]*$/;

/**
 * Quotes a value for a systemd unit file (systemd.syntax(7)): only plain ASCII passes, `%` is doubled so that it is no
 * specifier. Throws TypeError for everything that could end the line or start another word, among it `\`, `"`, `$` and newline.
 */
export const quoteUnit = (value: string): string => {
  if (!plain.test(value.replaceAll('%', '')) || value !== value.trim())
    throw new TypeError(`${JSON.stringify(value)} cannot stand in a unit file`);
  return value.replaceAll('%', '%%');
};

export interface UnitFile {
  /** File name, which is the unit's name. */
  unit: string;
  text: string;
}

/** Seconds that systemd adds to our own limits, so that the script and not systemd reports what was too slow. */
const grace = 60;

/** A path as it can stand in a comment and in Documentation=, which takes URIs only. */
const asUri = (path: string): string => encodeURI(path);

const appView = (
  name: string,
  source: string,
  container: ContainerSpec,
  drainSeconds: number,
  extra: { awake: boolean; assertOpen: boolean; socket: boolean },
): View => ({
  generated: generated(asUri(source)),
  source: asUri(source),
  name,
  program: paths.program,
  socket: extra.socket,
  socketUnit: socketUnit(name),
  needs: container.needs.map((need) => ({ appUnit: appUnit(need), siteUnit: siteUnit(need) })),
  awake: extra.awake,
  assertOpen: extra.assertOpen ? [{ path: openMark(name) }] : [],
  startLimit: container.startTimeoutSeconds + grace,
  stopLimit: drainSeconds + container.stopTimeoutSeconds + grace,
});

const facadeView = (
  name: string,
  source: string,
  description: string,
  flags: { container: boolean; awake: boolean; opens: boolean },
  stopLimit: number,
): View => ({
  generated: generated(asUri(source)),
  source: asUri(source),
  name,
  description,
  program: paths.program,
  socketUnit: socketUnit(name),
  appUnit: appUnit(name),
  ...flags,
  stopLimit,
});

/** Every unit of a site: the facade, and for a site with a container its socket and the container's unit. */
export const siteUnits = (spec: SiteSpec, templates: Templates): UnitFile[] => {
  const { name, file, container } = spec;
  const awake = container !== null && spec.idleSeconds === 'never';
  const stopLimit =
    container === null
      ? grace
      : spec.drainTimeoutSeconds + container.stopTimeoutSeconds + container.startTimeoutSeconds + 2 * grace;
  const facade = facadeView(
    name,
    file,
    `Site ${name} (${spec.runtime})`,
    { container: container !== null, awake, opens: container === null },
    stopLimit,
  );
  const unit = (fileName: string, templateName: string, view: View): UnitFile => ({
    unit: fileName,
    text: render(template(templates, templateName), view, quoteUnit),
  });
  const units = [unit(siteUnit(name), 'site.service.mustache', facade)];
  if (container === null) return units;
  units.push(
    unit(socketUnit(name), 'site.socket.mustache', {
      generated: generated(asUri(file)),
      source: asUri(file),
      name,
      siteUnit: siteUnit(name),
      wakeUnit: wakeUnit(name),
      wakeSocket: wakeSocket(name),
      httpSocket: httpSocket(name),
    }),
    unit(
      appUnit(name),
      'app.service.mustache',
      appView(name, file, container, spec.drainTimeoutSeconds, { awake, assertOpen: false, socket: true }),
    ),
  );
  return units;
};

/** Every unit of a shared container: its facade and the container's own unit, which runs only while the facade is open. */
export const serviceUnits = (spec: ServiceSpec, templates: Templates): UnitFile[] => {
  const { name, file, container } = spec;
  const awake = spec.idleSeconds === 'never';
  const stopLimit = container.stopTimeoutSeconds + container.startTimeoutSeconds + 2 * grace;
  return [
    {
      unit: siteUnit(name),
      text: render(
        template(templates, 'site.service.mustache'),
        facadeView(name, file, `Shared container ${name}`, { container: false, awake: false, opens: true }, stopLimit),
        quoteUnit,
      ),
    },
    {
      unit: appUnit(name),
      text: render(
        template(templates, 'app.service.mustache'),
        appView(name, file, container, 0, { awake, assertOpen: true, socket: false }),
        quoteUnit,
      ),
    },
  ];
};
