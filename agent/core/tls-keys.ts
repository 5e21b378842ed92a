import type { Form } from './form.ts';
import { siteKeys as keys } from './keys.ts';
import type { SiteSpec, TlsSpec } from './spec.ts';

/** Files of the admin's, which only `tls = files` has. */
const takeFiles = (form: Form, mode: TlsSpec['mode'] | null): Pick<TlsSpec, 'certificate' | 'key'> => {
  const certificate = form.take(keys.certificate);
  const key = form.take(keys.certificate_key);
  if (mode === 'files') {
    form.require(keys.certificate);
    form.require(keys.certificate_key);
    return { certificate, key };
  }
  if (mode !== null)
    for (const [each, value] of [
      [keys.certificate, certificate],
      [keys.certificate_key, key],
    ] as const)
      if (value !== null)
        form.refuse(each, `has no meaning with tls = ${mode}`, 'write tls = files, or remove the line');
  return { certificate: null, key: null };
};

/** Everything about HTTPS in a site file. */
export const takeTls = (form: Form, headers: SiteSpec['headers']): TlsSpec => {
  const mode = form.take(keys.tls);
  const https = form.takeOr(keys.https, 'redirect');
  const hstsSeconds = form.take(keys.hsts);
  if (hstsSeconds !== null && (mode === 'off' || https === 'off'))
    form.refuse(
      keys.hsts,
      `would lock visitors out: the site has no HTTPS (${mode === 'off' ? 'tls' : 'https'} = off)`,
      'remove the line',
    );
  else if (hstsSeconds !== null && headers.some(([name]) => name.toLowerCase() === 'strict-transport-security'))
    form.refuse(keys.hsts, 'is set in [headers] as well', 'remove Strict-Transport-Security there');
  return {
    mode: mode ?? 'auto',
    ...takeFiles(form, mode),
    https,
    hstsSeconds,
    keyType: form.takeOr(keys.key_type, 'ecdsa'),
  };
};

/** Whether a site is served over HTTPS at all. */
export const hasTls = ({ mode, https }: TlsSpec): boolean => mode !== 'off' && https !== 'off';
