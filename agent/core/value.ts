/** What a value in an admin's file can be: a text that a narrow type accepts, or a reason why not. */
export type Parsed<T> = { ok: true; value: T } | { ok: false; message: string; hint?: string };

export interface ValueType<T> {
  /** Word for the reference, like `duration`. */
  name: string;
  /** How it is written, for the reference and for error messages. */
  form: string;
  /** A comment may follow in the same line: only where `;`, `#` and blanks inside the value are impossible. */
  comment: boolean;
  choices?: readonly string[];
  /** Regular expression of the written form, for the JSON schema. */
  pattern?: string;
  parse: (text: string) => Parsed<T>;
}

/** A text that was understood. */
export const good = <T>(value: T): Parsed<T> => ({ ok: true, value });
/** A value that does not parse, with what to say of it. */
/** A text that was not, why, and what to write instead. */
export const bad = (message: string, hint?: string): { ok: false; message: string; hint?: string } => ({
  ok: false,
  message,
  ...(hint === undefined ? {} : { hint }),
});

/** Characters that no value may hold: controls, line separators, marks that reorder text, what a wrong encoding leaves behind. */
export const forbidden = /[\p{Cc}\p{Surrogate}\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffd]/u;

/** Longest value, in UTF-16 units; in UTF-8 it still fits one argument or variable of a process (128 KiB). */
export const longestValue = 32 * 1024;

/** A text of the admin's, made fit for one line of a message: short, and without anything a terminal would act on. */
export const shown = (text: string): string => {
  const line = text.slice(0, 61).replace(/[\p{C}\p{Zl}\p{Zp}\ufffd]/gu, '?');
  return `\`${line.length > 60 ? `${line.slice(0, 57)}...` : line}\``;
};

/** Items of a list written with commas or blanks between them; null when an item between two commas is missing. */
export const listItems = (text: string): string[] | null => {
  if (text.trim() === '') return [];
  const items = text.split(/\s*,\s*|\s+/);
  return items.includes('') ? null : items;
};

/** A list of one type, without repetitions. */
export const listOf = <T extends string>(name: string, item: ValueType<T>): ValueType<readonly T[]> => ({
  name,
  form: `${item.form}; several with blanks or commas between`,
  comment: item.comment,
  parse: (text) => {
    const items = listItems(text);
    if (items === null) return bad('there is nothing between two commas', 'remove one of them');
    const values: T[] = [];
    for (const each of items) {
      const parsed = item.parse(each);
      if (!parsed.ok) return parsed;
      if (values.includes(parsed.value)) return bad(`${shown(each)} is there twice`, 'remove one of them');
      values.push(parsed.value);
    }
    return good(values);
  },
});

/** A text of a pattern. `comment`: whether a comment may follow it, because it can hold neither ; nor #. */
export const wordOf = (
  name: string,
  form: string,
  pattern: RegExp,
  wrong: string,
  comment: boolean,
): ValueType<string> => ({
  name,
  form,
  comment,
  pattern: pattern.source,
  parse: (text) => (pattern.test(text) ? good(text) : bad(`${shown(text)} is not ${wrong}`)),
});
