/** Reads a unit file as systemd does (systemd.syntax(7), systemd.service(5)), to see what a text means instead of what it looks like. */

export interface Assignment {
  section: string;
  key: string;
  value: string;
}

/** Expands specifiers: `%%` is a per cent sign; any other one would bring in something that the text does not hold. */
const expand = (value: string): string =>
  value.replace(/%(.?)/g, (_, next: string) => {
    if (next !== '%') throw new Error(`specifier %${next}`);
    return '%';
  });

/** The assignments of a unit file in order. Throws for what systemd would complain about. */
export const parseUnit = (text: string): Assignment[] => {
  const found: Assignment[] = [];
  let section = '';
  let before = '';
  for (const raw of text.split('\n')) {
    // A comment inside of a continued line is left out, and the line goes on behind it.
    if (/^[ \t]*[#;]/.test(raw)) continue;
    if (raw.endsWith('\\')) {
      before += `${raw.slice(0, -1)} `;
      continue;
    }
    const line = (before + raw).trim();
    before = '';
    if (line === '') continue;
    const header = /^\[([A-Za-z-]+)\]$/.exec(line)?.[1];
    if (header !== undefined) {
      section = header;
      continue;
    }
    const equals = line.indexOf('=');
    if (equals < 1 || section === '') throw new Error(`not an assignment: ${line}`);
    found.push({ section, key: line.slice(0, equals).trim(), value: expand(line.slice(equals + 1).trim()) });
  }
  if (before !== '') throw new Error('the file ends within a line');
  return found;
};

/** The words of a command line; what is special there (prefixes, `;`, `$`, quotes, backslashes) is an error: ours need none. */
export const commandWords = (value: string): string[] => {
  if (/^[-@:+!|]/.test(value) || /["'\\$`;]/.test(value)) throw new Error(`not a plain command: ${value}`);
  return value.split(/\s+/);
};
