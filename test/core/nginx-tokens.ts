/**
 * Reads an nginx configuration file as nginx does (ngx_conf_read_token in ngx_conf_file.c), to see what a text means instead of
 * what it looks like.
 */

export interface Directive {
  words: string[];
  /** Null for a directive that ends with a semicolon. */
  block: Directive[] | null;
}

interface Token {
  kind: 'word' | ';' | '{' | '}';
  text: string;
}

const isBlank = (char: string): boolean => char === ' ' || char === '\n' || char === '\t' || char === '\r';

/** A backslash takes the next letter along; only these pairs become something else. */
const unescape = (text: string): string =>
  text.replace(/\\(["'\\trn])/g, (_, char: string) => ({ t: '\t', r: '\r', n: '\n' })[char] ?? char);

const tokens = (text: string): Token[] => {
  const found: Token[] = [];
  let at = 0;
  const readUntil = (isEnd: (char: string) => boolean): string => {
    const start = at;
    while (at < text.length && !isEnd(text[at]!)) {
      if (text[at] === '\\') at += 2;
      // a variable in braces belongs to its word
      else if (text[at] === '$' && text[at + 1] === '{') at += 2;
      else at += 1;
    }
    if (at >= text.length) throw new Error('unexpected end of file');
    return unescape(text.slice(start, at));
  };
  while (at < text.length) {
    const char = text[at]!;
    if (isBlank(char)) at += 1;
    else if (char === '#') while (at < text.length && text[at] !== '\n') at += 1;
    else if (char === ';' || char === '{' || char === '}') {
      found.push({ kind: char, text: char });
      at += 1;
    } else if (char === '"' || char === "'") {
      at += 1;
      found.push({ kind: 'word', text: readUntil((each) => each === char) });
      at += 1;
      const next = text[at] ?? '';
      if (!isBlank(next) && !';{)'.includes(next)) throw new Error(`unexpected "${next}" behind a quote`);
    } else found.push({ kind: 'word', text: readUntil((each) => isBlank(each) || each === ';' || each === '{') });
  }
  return found;
};

/** The directives of a file. Throws where nginx would. */
export const parseNginx = (text: string): Directive[] => {
  const rest = tokens(text);
  const readBlock = (nested: boolean): Directive[] => {
    const directives: Directive[] = [];
    let words: string[] = [];
    for (let token = rest.shift(); token !== undefined; token = rest.shift()) {
      if (token.kind === 'word') words.push(token.text);
      else if (token.kind === '}') {
        if (words.length > 0 || !nested) throw new Error('unexpected "}"');
        return directives;
      } else {
        if (words.length === 0) throw new Error(`unexpected "${token.text}"`);
        directives.push({ words, block: token.kind === '{' ? readBlock(true) : null });
        words = [];
      }
    }
    if (words.length > 0 || nested) throw new Error('unexpected end of file');
    return directives;
  };
  return readBlock(false);
};
