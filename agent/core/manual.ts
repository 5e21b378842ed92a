/** Manual pages (man-pages(7), groff_man(7)), made from the table of keys and from the command line. */
import { fileKinds, type FileKind, type Key, runtimes } from './keys.ts';
import { paths } from './names.ts';
import type { Runtime } from './spec.ts';

/** A command of the program, as its manual shows it. */
export interface ManualCommand {
  /** Words and arguments, without the program's name. */
  usage: string;
  description: string;
  options: readonly { flags: string; description: string }[];
}

/** Text that roff takes as it is: no escape, no request, no hyphen where a minus is meant. */
const plain = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('\n', ' ')
    .replace(/^(?=[.'])/, '\\&');

const heading = (text: string): string => `.SH ${text}`;
const paragraph = (text: string): string => `.PP\n${plain(text)}`;
const entry = (term: string, ...texts: readonly string[]): string =>
  [`.TP\n\\fB${plain(term)}\\fR`, ...texts.map((text, at) => `${at === 0 ? '' : '.br\n'}${plain(text)}`)].join('\n');

/** The page's head. No date: the same sources give the same bytes. */
const page = (name: string, section: 5 | 8, version: string, parts: readonly string[]): string =>
  [`.TH ${name.toUpperCase()} ${section} "" "App Fleet ${plain(version)}"`, ...parts].join('\n') + '\n';

const presetOf = ({ default: preset, defaults }: Key<unknown>): string =>
  [...Object.entries(defaults).map(([runtime, value]) => `${value} (${runtime})`), preset ?? '']
    .filter((text) => text !== '')
    .join(', ');

const forRuntimes = (word: string, some: readonly Runtime[]): string => {
  if (some.length === runtimes.length) return word === 'Required' ? 'Required.' : '';
  return some.length === 0 ? '' : `${word} for ${some.join(', ')}.`;
};

const keyEntry = (kind: FileKind, key: Key<unknown>): string => {
  const preset = presetOf(key);
  const facts = [
    preset === '' ? '' : `Default: ${preset}.`,
    ...(kind.kind === 'site' ? [forRuntimes('Required', key.required), forRuntimes('Only', key.runtimes)] : []),
  ].filter((text) => text !== '');
  return entry(
    `${key.name} = ${key.example}`,
    `${key.help}. Form: ${key.type.form}.`,
    ...(facts.length > 0 ? [facts.join(' ')] : []),
  );
};

const kindParts = (kind: FileKind, title: string): string[] => [
  heading(title),
  paragraph(`${kind.path}, section [${kind.section}]:`),
  ...Object.values(kind.keys).map((key) => keyEntry(kind, key)),
  ...kind.free.map((section) =>
    entry(`[${section.name}]`, `${section.help}. Form: ${section.value.form}. Example: ${section.example}`),
  ),
];

/** appfleet-site(5): what the files below /etc/appfleet may hold. */
export const sitePage = (version: string): string =>
  page('appfleet-site', 5, version, [
    heading('NAME'),
    'appfleet\\-site \\- files of sites, shared containers and settings of App Fleet',
    heading('DESCRIPTION'),
    paragraph(
      'A site is a file that is named after its domain. A value may stand in double quotes, with \\" and \\\\ inside. A comment is a line that begins with ; or #. After a number, a word, a duration, a size or a list of names a comment may also follow in the same line.',
    ),
    paragraph(
      'The agent applies a file as soon as it changes. A file with a mistake changes nothing: its site keeps what it had; `appfleet check` names the line.',
    ),
    ...kindParts(fileKinds.site, 'SITES'),
    ...kindParts(fileKinds.service, 'SHARED CONTAINERS'),
    ...kindParts(fileKinds.settings, 'SETTINGS'),
    heading('EXAMPLE'),
    '.PP\n.EX\n[site]\nruntime = php\\-fpm\nimage = wordpress:fpm\nroot = /srv/www/blog.example.org\nneeds = mysql\n.EE',
    heading('SEE ALSO'),
    '.BR appfleet (8)',
  ]);

/** appfleet(8): the commands. */
export const programPage = (version: string, commands: readonly ManualCommand[]): string =>
  page('appfleet', 8, version, [
    heading('NAME'),
    'appfleet \\- sites that sleep until somebody asks for them',
    heading('SYNOPSIS'),
    '.B appfleet\n.I command\n[\\fIoptions\\fR]',
    heading('DESCRIPTION'),
    paragraph(
      'The agent makes systemd units, nginx vhosts and Docker containers from small files, one per site. A container starts when somebody asks for its site and goes when nobody does. A site is a unit: systemctl stop, start and status mean what they say, and journalctl -u shows what its container prints.',
    ),
    heading('COMMANDS'),
    ...commands.flatMap(({ usage, description, options }) => [
      entry(usage, description),
      ...(options.length === 0
        ? []
        : ['.RS', ...options.map(({ flags, description }) => entry(flags, description)), '.RE']),
    ]),
    heading('EXIT STATUS'),
    entry('0', 'Done, or all is as the files say.'),
    entry('1', 'A site failed.'),
    entry('2', 'The words of the command or a file have a mistake.'),
    heading('FILES'),
    entry(`${paths.sites}/*.ini`, 'A file per site, see appfleet-site(5).'),
    entry(`${paths.services}/*.ini`, 'A file per shared container, a database for instance.'),
    entry(paths.settings, 'Settings of the agent.'),
    entry(paths.secrets, 'Secrets, for root only.'),
    entry(`${paths.snippets}/*.conf`, "The admin's own nginx directives for a site."),
    entry(paths.state, 'Certificates, the account with the CA, what containers are started with.'),
    heading('SEE ALSO'),
    '.BR appfleet\\-site (5),\n.BR systemctl (1),\n.BR journalctl (1),\n.BR nginx (8)',
  ]);
