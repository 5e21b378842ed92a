import { type Form, openForm } from './form.ts';
import { fileKinds, settingKeys as keys } from './keys.ts';
import type { Problem, SourceFile } from './problem.ts';
import type { AcmeSettings, Settings } from './spec.ts';

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

/** The agent's settings, or every problem in their file at once. An empty text gives the defaults. */
export const parseSettings = (source: SourceFile): { settings: Settings } | { problems: Problem[] } => {
  const form = openForm(source, fileKinds.settings);
  const settings: Settings = {
    parallelStarts: form.takeOr(keys.parallel_starts, 0),
    passIntervalSeconds: form.takeOr(keys.pass_interval, 0),
    httpPort: form.takeOr(keys.http_port, 0),
    httpsPort: form.takeOr(keys.https_port, 0),
    acme: takeAcme(form),
  };
  if (settings.httpPort === settings.httpsPort && settings.httpPort !== 0)
    form.refuse(keys.https_port, `${settings.httpsPort} is the port for HTTP as well`, 'give them two ports');
  const problems = form.problems();
  return problems.length === 0 ? { settings } : { problems };
};

const parsedDefaults = parseSettings({ path: '', text: '' });
if (!('settings' in parsedDefaults)) throw new TypeError('the defaults of the settings do not parse');
/** What holds without a file. */
export const defaultSettings: Settings = parsedDefaults.settings;
