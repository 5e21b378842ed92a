import { bad, good, type Parsed, type ValueType } from './value.ts';

/** Whole words that mean something to a shell; a container's command never meets one. */
const operators = new Set(['&&', '||', '|', ';', '&', '>', '>>', '<', '2>', '2>&1', '&>']);

/** Splits a command into words as POSIX does: quotes and backslashes, but no expansion of any kind. */
export const parseCommand = (text: string): Parsed<readonly string[]> => {
  const words: string[] = [];
  let operator: string | undefined;
  let word: string | null = null;
  let literal = false;
  let quote = '';
  const endWord = (): void => {
    if (word === null) return;
    if (!literal && operators.has(word)) operator ??= word;
    words.push(word);
    word = null;
    literal = false;
  };
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (quote === "'" || (quote === '"' && char !== '\\')) {
      if (char === quote) quote = '';
      else word = (word ?? '') + char;
    } else if (char === '\\') {
      const next = text.charAt(++at);
      if (next === '') return bad('the command ends with a backslash', 'write two for one');
      // between double quotes a backslash quotes only what would be special there
      word = (word ?? '') + (quote === '"' && !'"\\$`'.includes(next) ? `\\${next}` : next);
      literal = true;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= '';
      literal = true;
    } else if (char === ' ') endWord();
    else word = (word ?? '') + char;
  }
  endWord();
  if (quote !== '') return bad(`the command has a ${quote} that is not closed`);
  if (operator !== undefined)
    return bad(
      `\`${operator}\` means nothing here: no shell reads the command`,
      "write sh -c '...' to have one, or quote the word",
    );
  return words[0] === '' ? bad('the first word of the command is empty') : good(words);
};

export const command: ValueType<readonly string[]> = {
  name: 'command',
  form: 'words with blanks between, quoted as in a shell; no shell reads it, so nothing is expanded',
  comment: false,
  parse: parseCommand,
};
