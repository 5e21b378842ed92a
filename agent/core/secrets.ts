/** The texts of /etc/appfleet/.env: NAME=value lines as Docker Compose reads them. Messages never repeat a value. */
import { readLines, withoutMark } from './lines.ts';
import type { Problem, SourceFile } from './problem.ts';
import { bad, good, type Parsed } from './value.ts';
import { parseEnvName, parseEnvValue } from './variable.ts';

/** Variable with the password of the database's administrator, in the sense of the official images. */
export const rootPassword = 'MYSQL_ROOT_PASSWORD';

const shortestPassword = 8;
const samples = new Set(
  (
    '1234 12345 123456 1234567 12345678 123456789 1234567890 password password1 password123 passw0rd p@ssw0rd root rootroot toor ' +
    'rootpassword root_password root-password mysql mariadb mysqlroot secret secret123 topsecret supersecret my-secret-pw my_secret_pw ' +
    'mysecretpw changeme changeme123 change_me change-me changeit change_it replaceme replace_me example examplepassword ' +
    'your_password your-password yourpassword mypassword my_password admin admin123 administrator qwerty qwertyuiop qwerty123 ' +
    'letmein welcome welcome1 default testtest test1234 database wordpress iloveyou abcd1234 abc12345 11111111 00000000'
  ).split(' '),
);

/** Why a password must not be used, or null when nothing speaks against it. */
export const weakPassword = (value: string): string | null => {
  if (value === '') return 'the password is empty';
  if (samples.has(value.trim().toLowerCase())) return 'the password is one that everybody tries first';
  if (/^[<{[(].*[>})\]]$/.test(value)) return 'the password is a place for one';
  if (value.length < shortestPassword) return `the password has fewer than ${shortestPassword} characters`;
  return new Set(value).size < 4 ? 'the password repeats a few characters' : null;
};

const quoteHint = "put it in single quotes: NAME='...'";

const readQuoted = (text: string): Parsed<string> => {
  const quote = text.charAt(0);
  let value = '';
  for (let at = 1; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === quote) {
      const rest = text.slice(at + 1).trim();
      return rest === '' || rest.startsWith('#')
        ? good(value)
        : bad('there is more after the closing quote', quoteHint);
    }
    if (quote === '"' && char === '$') return bad('Compose would put a variable in place of the `$`', quoteHint);
    const next = text.charAt(at + 1);
    if (char === '\\' && (next === quote || (quote === '"' && next === '\\'))) value += text.charAt(++at);
    else if (char === '\\' && quote === '"')
      return bad('a backslash must stand before a quote or a backslash', quoteHint);
    else value += char;
  }
  return bad('the quote is not closed');
};

const readSecret = (text: string): Parsed<string> => {
  if (text.startsWith('"') || text.startsWith("'")) return readQuoted(text);
  if (text.includes('$')) return bad('Compose would put a variable in place of the `$`', quoteHint);
  if (/(^|\s)#/.test(text)) return bad('the `#` would end the value', `${quoteHint}; a comment needs its own line`);
  return good(text);
};

/** The variables of the file. A weak root password is a problem; a missing one is not: somebody will add a random one. */
export const parseSecrets = (source: SourceFile): { secrets: Record<string, string> } | { problems: Problem[] } => {
  const problems: Problem[] = [];
  const found = new Map<string, { value: string; line: number }>();
  const refuse = (line: number, message: string, hint?: string, key?: string): void => {
    problems.push({
      file: source.path,
      line,
      ...(key === undefined ? {} : { key }),
      message,
      ...(hint === undefined ? {} : { hint }),
    });
  };
  const read = (text: string, line: number): void => {
    const from = text.trim().replace(/^export\s+/, '');
    if (from === '' || from.startsWith('#')) return;
    const equals = from.indexOf('=');
    if (equals < 0) return refuse(line, 'this line has no `=`', 'write NAME=value');
    const name = parseEnvName(from.slice(0, equals).trim());
    if (!name.ok) return refuse(line, name.message, name.hint);
    const key = name.value;
    const earlier = found.get(key);
    if (earlier !== undefined) return refuse(line, `is already set in line ${earlier.line}`, 'remove one of them', key);
    const read = readSecret(from.slice(equals + 1).trim());
    const value = read.ok ? parseEnvValue(read.value) : read;
    if (!value.ok) return refuse(line, value.message, value.hint, key);
    const weak = key === rootPassword ? weakPassword(value.value) : null;
    if (weak !== null)
      return refuse(line, weak, 'remove the line to have a random one made, or choose a better one', key);
    found.set(key, { value: value.value, line });
  };
  readLines(source, problems, read, (message, _text, line) => refuse(line, message));
  if (problems.length > 0) return { problems };
  return { secrets: Object.fromEntries([...found].map(([name, { value }]) => [name, value])) };
};

const newFile = `# Secrets of this host, as NAME=value. Keep the mode at 0600.
# Quote a value that contains blanks, #, $ or quotes: NAME='...'

# Password of the database's administrator; made at random when this file had none.
`;

/** The file with a root password added: a new file for null, otherwise what was there and one more line. */
export const withRootPassword = (text: string | null, password: string): string => {
  if (!/^[A-Za-z0-9_-]+$/.test(password)) throw new TypeError('a generated password must need no quotes');
  const before = text === null ? newFile : withoutMark(text);
  const gap = before === '' || before.endsWith('\n') ? '' : '\n';
  return `${before}${gap}${rootPassword}=${password}\n`;
};
