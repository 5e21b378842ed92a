/** Numbers, durations, sizes and words: types whose text has no room for anything else. */
import { didYouMean } from './nearest.ts';
import { bad, good, listOf, shown, type ValueType } from './value.ts';

/** One of a few words. */
export const choice = <T extends string>(...choices: readonly T[]): ValueType<T> => ({
  name: 'choice',
  form: choices.join(' | '),
  comment: true,
  choices,
  parse: (text) => {
    const found = choices.find((each) => each === text);
    return found === undefined
      ? bad(`${shown(text)} is not one of ${choices.join(', ')}`, didYouMean(text, choices))
      : good(found);
  },
});

/** A whole number between two bounds. */
export const whole = (name: string, least: number, most: number): ValueType<number> => ({
  name,
  form: `a number from ${least} to ${most}`,
  comment: true,
  pattern: '^[1-9][0-9]*$|^0$',
  parse: (text) => {
    const value = /^(0|[1-9]\d{0,8})$/.test(text) ? Number(text) : NaN;
    return value >= least && value <= most
      ? good(value)
      : bad(`${shown(text)} is not a number from ${least} to ${most}`);
  },
});

export const port = whole('port', 1, 65535);

const secondsPer: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86400 };

/** A duration in whole seconds, like `90s`, `10m` or `1h30m`; at least so many seconds, at most so many days. */
export const duration = (least: number, mostDays = 365): ValueType<number> => ({
  name: 'duration',
  form: '30s, 10m, 2h, 1d or 1h30m',
  comment: true,
  pattern: '^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$',
  parse: (text) => {
    if (/^\d{1,9}$/.test(text)) return bad(`${shown(text)} has no unit`, `write \`${text}s\` or \`${text}m\``);
    if (!/^(?=\d)(\d{1,9}d)?(\d{1,9}h)?(\d{1,9}m)?(\d{1,9}s)?$/.test(text))
      return bad(`${shown(text)} is not a duration`, 'write it like 30s, 10m, 2h or 1d');
    let seconds = 0;
    for (const [, number, unit] of text.matchAll(/(\d+)([smhd])/g))
      seconds += Number(number) * (secondsPer[unit ?? ''] ?? 0);
    if (seconds < least) return bad(`${shown(text)} is too short`, `the least is ${least}s`);
    return seconds > mostDays * 86400 ? bad(`${shown(text)} is too long`, `the most is ${mostDays}d`) : good(seconds);
  },
});

const second = duration(1);

/** A duration, or `never`. */
export const idle: ValueType<number | 'never'> = {
  ...second,
  form: `${second.form}, or never`,
  pattern: `${second.pattern ?? ''}|^never$`,
  parse: (text) => {
    if (text === 'never') return good('never');
    if (/^0+[smhd]?$/.test(text)) return bad(`${shown(text)} is too short`, 'write `never` to keep it awake');
    return second.parse(text);
  },
};

const bytesPer: Readonly<Record<string, number>> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** A size in bytes, written in units of 1024: `512k`, `256m`, `1g`. */
export const size = (least: string): ValueType<number> => {
  const bytes = (text: string): number => Number(text.slice(0, -1)) * (bytesPer[text.slice(-1).toLowerCase()] ?? NaN);
  return {
    name: 'size',
    form: '512k, 64m or 1g',
    comment: true,
    pattern: '^[0-9]+[kKmMgGtT]$',
    parse: (text) => {
      if (/^\d{1,15}$/.test(text)) return bad(`${shown(text)} has no unit`, 'write it like 512k, 64m or 1g');
      if (!/^\d{1,9}[kmgt]$/i.test(text)) return bad(`${shown(text)} is not a size`, 'write it like 512k, 64m or 1g');
      const value = bytes(text);
      if (value < bytes(least)) return bad(`${shown(text)} is too small`, `the least is ${least}`);
      return value > bytes('64t') ? bad(`${shown(text)} is too large`, 'the most is 64t') : good(value);
    },
  };
};

/** A share of the processors, up to three decimals. */
export const cpus: ValueType<number> = {
  name: 'cpus',
  form: 'a number like 0.5 or 2',
  comment: true,
  pattern: '^[0-9]{1,4}(\\.[0-9]{1,3})?$',
  parse: (text) => {
    const value = /^\d{1,4}(\.\d{1,3})?$/.test(text) ? Number(text) : NaN;
    return value >= 0.01 && value <= 1024
      ? good(value)
      : bad(`${shown(text)} is not a number of processors`, 'write it like 0.5 or 2');
  },
};

/** A shared container's name, which names its unit too. */
export const parseServiceName = (text: string) => {
  if (!/^[a-z0-9][a-z0-9-]*$/.test(text))
    return bad(`${shown(text)} cannot be the name of a service`, 'use lower-case letters, digits and hyphens');
  if (text.length < 2 || text.length > 63) return bad(`${shown(text)} must have 2 to 63 characters`);
  if (text.endsWith('-app')) return bad(`${shown(text)} ends in -app, which names the units of containers`);
  // appfleet.service and appfleet-wake@.service are the agent's own
  if (/^appfleet(-|$)/.test(text)) return bad(`${shown(text)} is taken: units of that name belong to the agent`);
  return good(text);
};

export const serviceNames = listOf('names', {
  name: 'name',
  form: 'mysql',
  comment: true,
  parse: parseServiceName,
});

const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const host = '[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::[0-9]{1,5})?';
const imagePattern = `^(?:${host}/)?${component}(?:/${component})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$`;
const imageForm = new RegExp(imagePattern);

/** An image reference in the grammar of container registries. */
export const image: ValueType<string> = {
  name: 'image',
  form: 'wordpress:php8.2-fpm or registry.example.org:5000/team/app@sha256:...',
  comment: true,
  pattern: imagePattern,
  parse: (text) => {
    if (text.length <= 255 && imageForm.test(text)) return good(text);
    return bad(
      `${shown(text)} is not the name of an image`,
      /[A-Z]/.test(text) ? 'names of images are lower case' : undefined,
    );
  },
};

/** A network that a container joins; the host's own and another container's are refused: they would undo its walls. */
export const network: ValueType<string> = {
  name: 'network',
  form: 'bridge, none or the name of a Docker network',
  comment: true,
  pattern: '^(?!host$|default$)[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$',
  parse: (text) =>
    /^(?!host$|default$)[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/.test(text)
      ? good(text)
      : bad(`${shown(text)} is not a network for a container`, 'write bridge, none or the name of a Docker network'),
};

/** Names of files that nginx tries in a folder. */
export const fileNames = listOf('files', {
  name: 'file name',
  form: 'index.html',
  comment: true,
  parse: (text: string) =>
    /^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/.test(text)
      ? good(text)
      : bad(`${shown(text)} is not a plain file name`, 'write it like index.html'),
});
