import t from 'tap';
import fc from 'fast-check';
import ini from 'ini';
import { type IniText, readIni } from '../../agent/core/ini.ts';
import { withoutMark } from '../../agent/core/lines.ts';
import { forbidden } from '../../agent/core/value.ts';

const read = (text: string, comments = false): IniText => readIni({ path: 'x.ini', text }, () => comments);
const valueOf = (raw: string, comments = false): string | undefined => {
  const { entries, problems } = read(`[a]\nk = ${raw}\n`, comments);
  return problems.length === 0 ? entries[0]?.value : undefined;
};

/** All that ini found, as `section key value` lines; it turns true, false and null into values of their own. */
const foundByIni = (text: string): string[] => {
  const parsed = ini.parse(text) as Record<string, unknown>;
  return Object.entries(parsed)
    .flatMap(([section, keys]) =>
      typeof keys === 'object' && keys !== null
        ? Object.entries(keys).map(([key, value]) => JSON.stringify([section, key, String(value)]))
        : [JSON.stringify(['', section, String(keys)])],
    )
    .sort();
};

const piece = fc.constantFrom(
  ...[
    'a',
    'b c',
    ' ',
    '\t',
    ';',
    '#',
    ' ; ',
    ' # x',
    '"',
    "'",
    '\\',
    '\\;',
    '\\\\',
    '=',
    '[',
    ']',
    '[]',
    '.',
    ',',
    ':',
    '\u00a0',
  ],
  ...[
    'true',
    'false',
    'null',
    '5',
    '{"a":1}',
    '__proto__',
    'constructor',
    '\ufeff',
    '\u2028',
    '\0',
    '\r',
    '\u00fc',
    '$',
    '\\n',
    '\\u0041',
  ],
);
const scraps = fc.array(piece, { maxLength: 5 }).map((pieces) => pieces.join(''));
const key = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('a', 'b', 'C_1', 'x-y', 'constructor', 'hasOwnProperty', 'true') },
  { weight: 1, arbitrary: scraps },
);
const value = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('a', 'true', 'false', 'null', '5', '', 'plain text', '"', 'x ; y', 'x # y') },
  { weight: 2, arbitrary: fc.string({ unit: 'grapheme', maxLength: 8 }).map((text) => JSON.stringify(text)) },
  { weight: 2, arbitrary: scraps },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 8 }) },
);
const line = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.tuple(key, fc.constantFrom('=', ' = ', ' =', '\t=\t'), value).map((parts) => parts.join('')),
  },
  { weight: 2, arbitrary: fc.constantFrom('', '; c', '# c', '  ; c', '[env]', '[ x ]', '[x] ') },
  { weight: 1, arbitrary: scraps },
);
const text = fc
  .tuple(
    fc.constantFrom('', '\ufeff'),
    fc.constantFrom('[site]', '[constructor]', '[env]', '[a] '),
    fc.array(line, { maxLength: 4 }),
    fc.constantFrom('\n', '\r\n'),
  )
  .map(([mark, section, lines, end]) => mark + [section, ...lines].join(end));

t.test('what we accept means the same to the ini package', (t) => {
  let accepted = 0;
  fc.assert(
    fc.property(text, fc.boolean(), (text, comments) => {
      const { entries, problems } = read(text, comments);
      if (problems.length > 0) return true;
      if (entries.length > 0) accepted++;
      const ours = entries.map(({ section, key, value }) => JSON.stringify([section, key, value])).sort();
      return JSON.stringify(ours) === JSON.stringify(foundByIni(withoutMark(text)));
    }),
    { numRuns: 30_000 },
  );
  t.ok(accepted > 5_000, `${accepted} texts were accepted and compared`);
  t.end();
});

t.test('an unquoted value means exactly what is written', (t) => {
  fc.assert(
    fc.property(fc.oneof(value, scraps), (raw) => {
      const accepted = raw.trimStart().startsWith('"') ? undefined : valueOf(raw);
      return accepted === undefined || accepted === raw.trim();
    }),
    { numRuns: 10_000 },
  );
  fc.assert(
    fc.property(fc.oneof(value, scraps), (raw) => {
      const accepted = raw.trimStart().startsWith('"') ? undefined : valueOf(raw, true);
      const rest = accepted === undefined ? '' : raw.trim().slice(accepted.length);
      return rest === '' || /^\s+[;#]/.test(rest);
    }),
    { numRuns: 10_000 },
  );
  t.end();
});

t.test('every text without control characters can be written in double quotes', (t) => {
  const sound = fc.oneof(scraps, fc.string({ unit: 'binary', maxLength: 20 })).filter((text) => !forbidden.test(text));
  fc.assert(
    fc.property(sound, (text) => valueOf(JSON.stringify(text)) === text),
    { numRuns: 10_000 },
  );
  t.end();
});

t.test('no value gets through with a line break or a control character', (t) => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 6 }),
      fc.constantFrom('\\n', '\\u0000', '\\r', '\\u2028', '\\ud800'),
      (text, escape) => {
        const { entries } = read(`[a]\nk = ${JSON.stringify(text).slice(0, -1)}${escape}"\nl = ${text}\n`);
        return entries.every((entry) => !forbidden.test(entry.value));
      },
    ),
    { numRuns: 10_000 },
  );
  t.end();
});

t.test('quotes', (t) => {
  t.equal(valueOf('"a b"'), 'a b');
  t.equal(valueOf('""'), '');
  t.equal(valueOf('" a "'), ' a ');
  t.equal(valueOf('"\\"a\\" \\\\ \\/ ; #"'), '"a" \\ / ; #');
  t.equal(valueOf('"true"'), 'true');
  t.equal(valueOf('a "b" c'), 'a "b" c');
  for (const raw of ['"', '"a', 'a";', '"a" b', '"a"b"', "'a'", '"a\\x"', '"a" ; c', '\\;'])
    t.equal(valueOf(raw), undefined, raw);
  t.match(read('[a]\nk = "a" ; c').problems[0]?.message, /a comment cannot follow a quoted value/);
  t.match(read('[a]\nk = "a').problems[0]?.message, /must end with it/);
  t.end();
});

t.test('lines are numbered as an editor does', (t) => {
  t.strictSame(read('\ufeff; c\r\n\r\n[a]\r\n  k = v\r\n').entries, [{ section: 'a', key: 'k', value: 'v', line: 4 }]);
  t.end();
});
