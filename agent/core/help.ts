/** Texts made from the table of keys: the reference, the JSON schema and commented sample files. */
import { fileKinds, type FileKind, type FreeSection, type Key, runtimes } from './keys.ts';
import type { Runtime } from './spec.ts';

export type Format = 'text' | 'markdown';

const same = (some: readonly Runtime[]): boolean => some.length === runtimes.length;

const presetOf = (key: Key<unknown>): string => {
  const parts = Object.entries(key.defaults).map(([runtime, preset]) => `${preset} (${runtime})`);
  if (key.default !== null && key.default !== '')
    parts.push(parts.length > 0 ? `${key.default} (others)` : key.default);
  return parts.join(', ');
};

const requiredBy = (key: Key<unknown>): string =>
  key.required.length === 0
    ? ''
    : key.required.length === key.runtimes.length
      ? 'required'
      : `required for ${key.required.join(', ')}`;

const forRuntimes = (some: readonly Runtime[]): string => (same(some) ? '' : `only for ${some.join(', ')}`);

const wrap = (text: string, indent: string, width = 100): string => {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.length - 1;
    const longer = lines[last] === '' ? word : `${lines[last] ?? ''} ${word}`;
    if (indent.length + longer.length > width && lines[last] !== '') lines.push(word);
    else lines[last] = longer;
  }
  return lines.map((line) => `${indent}${line}`).join('\n');
};

const keyText = (key: Key<unknown>): string => {
  const facts = [requiredBy(key), presetOf(key) === '' ? '' : `default ${presetOf(key)}`, forRuntimes(key.runtimes)];
  return [
    `  ${key.name} = ${key.example}`,
    wrap(`${key.help}.`, '      '),
    wrap(`Form: ${key.type.form}`, '      '),
    wrap(facts.filter((fact) => fact !== '').join('; '), '      '),
  ]
    .filter((line) => line.trim() !== '')
    .join('\n');
};

const freeText = (section: FreeSection): string =>
  [
    `[${section.name}]`,
    `  ${section.example}`,
    wrap(
      `${section.help}. Form: ${section.value.form}.${same(section.runtimes) ? '' : ` For ${section.runtimes.join(', ')}.`}`,
      '      ',
    ),
  ].join('\n');

const rules = [
  'A value may stand in double quotes, with \\" and \\\\ inside. A comment is a line that begins with ; or #.',
  'After a number, a word, a duration, a size or a list of names a comment may also follow in the same line.',
];

const sectionText = (kind: FileKind): string =>
  `[${kind.section}]\n${Object.values(kind.keys).map(keyText).join('\n\n')}`;

const asText = (kind: FileKind): string =>
  [
    `${kind.path}\n\n${rules.map((rule) => wrap(rule, '')).join('\n')}`,
    sectionText(kind),
    ...kind.free.map(freeText),
    ...kind.more.map(sectionText),
  ].join('\n\n') + '\n';

const sentence = (note: string): string => `${note.charAt(0).toUpperCase()}${note.slice(1)}.`;
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('*', '\\*');
const code = (text: string): string => (text === '' ? '' : `\`${text.replaceAll('|', '\\|')}\``);

const asMarkdown = (kind: FileKind): string => {
  const rows = Object.values(kind.keys).map((key) => {
    const notes = [key.help, requiredBy(key), forRuntimes(key.runtimes)].filter((note) => note !== '').map(sentence);
    return `| \`${key.name}\` | ${cell(key.type.form)} | ${cell(presetOf(key))} | ${code(key.example)} | ${cell(notes.join(' '))} |`;
  });
  const free = kind.free.map((section) => {
    const only = same(section.runtimes) || kind.kind !== 'site' ? '' : ` For ${section.runtimes.join(', ')}.`;
    return `\`[${section.name}]\`: ${section.help} (${section.value.form}).${only} Example: \`${section.example}\``;
  });
  const table = ['| key | form | default | example | meaning |', '|---|---|---|---|---|', ...rows].join('\n');
  const own = [`\`${kind.path}\`, section \`[${kind.section}]\`:`, table, ...free].join('\n\n') + '\n';
  return [own, ...kind.more.map(asMarkdown)].join('\n');
};

/** Reference of one kind of file. */
export const reference = (kind: FileKind['kind'], format: Format): string =>
  format === 'text' ? asText(fileKinds[kind]) : asMarkdown(fileKinds[kind]);

/** Reference of the site file, for `appfleet help site` and README. */
export const siteReference = (format: Format): string => reference('site', format);

const sectionSchema = (kind: FileKind): object => ({
  type: 'object',
  additionalProperties: false,
  required: Object.values(kind.keys)
    .filter((key) => same(key.required))
    .map((key) => key.name),
  properties: Object.fromEntries(
    Object.values(kind.keys).map((key) => [
      key.name,
      {
        type: 'string',
        description: `${key.help}. Form: ${key.type.form}`,
        ...(key.type.choices === undefined ? {} : { enum: key.type.choices }),
        ...(key.type.pattern === undefined ? {} : { pattern: key.type.pattern }),
        ...(key.default === null ? {} : { default: key.default }),
        ...(Object.keys(key.defaults).length === 0 ? {} : { 'x-defaults': key.defaults }),
        ...(kind.kind === 'site' ? { 'x-runtimes': key.runtimes, 'x-required': key.required } : {}),
        examples: [key.example],
      },
    ]),
  ),
});

const freeSchema = (section: FreeSection): object => ({
  type: 'object',
  description: section.help,
  additionalProperties: { type: 'string' },
});

const fileSchema = (kind: FileKind): object => ({
  description: `${kind.path}, as sections of names and texts`,
  type: 'object',
  additionalProperties: false,
  ...(kind.kind === 'settings' ? {} : { required: [kind.section] }),
  properties: {
    [kind.section]: sectionSchema(kind),
    ...Object.fromEntries(kind.free.map((section) => [section.name, freeSchema(section)])),
    ...Object.fromEntries(kind.more.map((more) => [more.section, sectionSchema(more)])),
  },
});

/** JSON schema of the three kinds of files, each seen as an object of sections that hold texts. */
export const configSchema = (): object => ({
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'App Fleet',
  $defs: Object.fromEntries(Object.values(fileKinds).map((kind) => [kind.kind, fileSchema(kind)])),
});
