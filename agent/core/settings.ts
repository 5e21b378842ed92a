import { type Form, openForm } from './form.ts';
import { consulKeys, type FileKind, fileKinds, settingKeys as keys } from './keys.ts';
import type { Problem, SourceFile } from './problem.ts';
import type { AcmeSettings, ConsulSettings, Settings } from './spec.ts';

const takeBinding = (form: Form): AcmeSettings['binding'] => {
  const kid = form.take(keys.acme_eab_kid);
  const keyFile = form.take(keys.acme_eab_key_file);
  if (kid !== null && keyFile === null) form.require(keys.acme_eab_key_file);
  if (keyFile !== null && kid === null) form.require(keys.acme_eab_kid);
  return kid === null || keyFile === null ? null : { kid, keyFile };
};

const takeAcme = (form: Form): AcmeSettings => ({
  directory: form.take(keys.acme_directory),
  caFile: form.take(keys.acme_ca_file),
  contacts: form.takeOr(keys.acme_email, []).map((address) => `mailto:${address}`),
  binding: takeBinding(form),
  profile: form.take(keys.acme_profile),
  dnsHook: form.take(keys.acme_dns_hook),
  addresses: form.take(keys.acme_addresses) ?? 'host',
});

const takeClient = (form: Form): ConsulSettings['certificate'] => {
  const file = form.take(consulKeys.certificate);
  const keyFile = form.take(consulKeys.certificate_key);
  if (file !== null && keyFile === null) form.require(consulKeys.certificate_key);
  if (keyFile !== null && file === null) form.require(consulKeys.certificate);
  return file === null || keyFile === null ? null : { file, keyFile };
};

const takeConsul = (form: Form): ConsulSettings => {
  const address = form.take(consulKeys.address);
  const settings: ConsulSettings = {
    address: address ?? { kind: 'unix', path: '' },
    datacenter: form.take(consulKeys.datacenter),
    tokenFile: form.take(consulKeys.token_file),
    caFile: form.take(consulKeys.ca_file),
    certificate: takeClient(form),
    kvPrefix: form.takeOr(consulKeys.kv_prefix, ''),
    servicePrefix: form.take(consulKeys.service_prefix) ?? '',
    tags: form.takeOr(consulKeys.tags, []),
    serviceAddress: form.take(consulKeys.service_address),
    ttlSeconds: form.takeOr(consulKeys.ttl, 0),
    registrator: form.take(consulKeys.registrator) === 'on',
    kvSet: form.take(consulKeys.kv_set) === 'on',
    fleetstreet: form.takeOr(consulKeys.fleetstreet, 'off'),
  };
  if (address !== null && address.kind !== 'https')
    for (const [key, value] of [
      [consulKeys.ca_file, settings.caFile],
      [consulKeys.certificate, settings.certificate],
    ] as const)
      if (value !== null)
        form.refuse(key, 'has no meaning: the address is not https://', 'write https:// in the address, or remove it');
  return settings;
};

/** A section of its own keys is a form of its own; what is wrong with the file as a whole, the first form says. */
const problemsOf = (form: Form, kind: FileKind): Problem[] => {
  const others = kind.more.map(({ section }) => section);
  return form.problems().filter(({ section }) => !others.includes(section ?? ''));
};

/** The agent's settings, or every problem in their file at once. An empty text gives the defaults. */
export const parseSettings = (source: SourceFile): { settings: Settings } | { problems: Problem[] } => {
  const form = openForm(source, fileKinds.settings);
  const [consulKind] = fileKinds.settings.more;
  const consul = openForm(source, consulKind);
  const settings: Settings = {
    parallelStarts: form.takeOr(keys.parallel_starts, 0),
    passIntervalSeconds: form.takeOr(keys.pass_interval, 0),
    httpPort: form.takeOr(keys.http_port, 0),
    httpsPort: form.takeOr(keys.https_port, 0),
    acme: takeAcme(form),
    consul: consul.present() ? takeConsul(consul) : null,
  };
  if (settings.httpPort === settings.httpsPort && settings.httpPort !== 0)
    form.refuse(keys.https_port, `${settings.httpsPort} is the port for HTTP as well`, 'give them two ports');
  const ofConsul = consul.problems().filter(({ section }) => section === consulKind.section);
  const problems = [...problemsOf(form, fileKinds.settings), ...ofConsul].sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  return problems.length === 0 ? { settings } : { problems };
};

const parsedDefaults = parseSettings({ path: '', text: '' });
if (!('settings' in parsedDefaults)) throw new TypeError('the defaults of the settings do not parse');
/** What holds without a file. */
export const defaultSettings: Settings = parsedDefaults.settings;
