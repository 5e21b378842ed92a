/** What a snippet of the admin's may not say: directives that would make its site answer for names of other sites. */
import type { Problem } from './problem.ts';
import type { Settings } from './spec.ts';

interface Directive {
  words: string[];
  line: number;
}

/** Comments, quoted words, plain words and the signs that end a directive, as ngx_conf_read_token (ngx_conf_file.c) cuts them. */
const piece = /#[^\n]*|"(?:[^"\\]|\\[^])*"|'(?:[^'\\]|\\[^])*'|[;{}]|\n|(?:\\[^]|\$\{|[^\s;{}\\])+/g;

const unquoted = (word: string): string => (/^(["']).*\1$/s.test(word) ? word.slice(1, -1) : word);

/** The directives outside of any block. What nginx could not read is its to complain about. */
const outerDirectives = (text: string): Directive[] => {
  const directives: Directive[] = [];
  let line = 1;
  let depth = 0;
  let words: string[] = [];
  let began = 1;
  for (const [found] of text.matchAll(piece)) {
    if (found === ';' || found === '{' || found === '}') {
      if (depth === 0 && words.length > 0) directives.push({ words, line: began });
      depth += found === '{' ? 1 : found === '}' ? -1 : 0;
      words = [];
    } else if (found !== '\n' && !found.startsWith('#')) {
      if (words.length === 0) began = line;
      words.push(unquoted(found));
    }
    line += found.split('\n').length - 1;
  }
  return directives;
};

/** Port of a `listen`: behind an address or alone, 80 when there is none; null for a unix socket. */
const portOf = (address: string): number | null => {
  if (address.startsWith('unix:')) return null;
  const port = /(?:^|:)(\d+)$/.exec(address.replace(/^\[[^\]]*\]/, 'ipv6'))?.[1];
  return port === undefined ? 80 : Number(port);
};

/** What a snippet in a server block has to be refused for; nginx itself would take it, or only warn in its log. */
export const snippetProblems = (
  file: string,
  text: string,
  settings: Pick<Settings, 'httpPort' | 'httpsPort'>,
): Problem[] =>
  outerDirectives(text).flatMap(({ words: [name, first = ''], line }): Problem[] => {
    if (name === 'server_name')
      return [
        {
          file,
          line,
          key: name,
          message: 'would take names that App Fleet does not know of, perhaps those of another site',
          hint: 'put the names into `aliases` of the site file',
        },
      ];
    const port = name === 'listen' ? portOf(first) : null;
    if (port !== settings.httpPort && port !== settings.httpsPort) return [];
    return [
      {
        file,
        line,
        key: 'listen',
        message: `would take what comes in on ${first} from all other sites`,
        hint: `take the line out: every site is served on port ${settings.httpPort} and ${settings.httpsPort} already`,
      },
    ];
  });
