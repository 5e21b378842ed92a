/**
 * Mustache without its traps: a template may hold only sections, variables and comments, a name that the view lacks is an
 * error, and every variable goes through the quoter of the target grammar. A quoter never escapes in silence what the grammar
 * cannot hold: it throws.
 */
import Mustache from 'mustache';

type Value = string | number | boolean | View | readonly View[];
export interface View {
  readonly [name: string]: Value;
}

/** Turns one value into text that means exactly that value in the target grammar, or throws a TypeError. */
export type Quote = (value: string) => string;

type Token = [type: string, name: string, start: number, end: number, children?: Token[]];
const allowed = new Set(['#', '^', 'name', 'text', '!']);

const checkTokens = (tokens: Token[]): void => {
  for (const [type, name, , , children] of tokens) {
    if (!allowed.has(type)) throw new TypeError(`template tag ${type} ${name} is not allowed`);
    if (Array.isArray(children)) checkTokens(children);
  }
};

class StrictContext extends Mustache.Context {
  override lookup(name: string): unknown {
    const value: unknown = super.lookup(name);
    if (value === undefined || value === null || typeof value === 'function')
      throw new TypeError(`the template asks for ${name}, which the view does not have`);
    return value;
  }
  override push(view: unknown): Mustache.Context {
    return new StrictContext(view, this);
  }
}

const writer = new Mustache.Writer();

/** Renders a template with a plain view. Throws TypeError for an unknown name, a forbidden tag or a value that cannot be quoted. */
export const render = (template: string, view: View, quote: Quote): string => {
  const tokens: unknown = writer.parse(template);
  checkTokens(tokens as Token[]);
  const text = writer.render(template, new StrictContext(view), undefined, {
    escape: (value: unknown) => {
      if (typeof value === 'number' && Number.isFinite(value)) return String(value);
      if (typeof value === 'string') return quote(value);
      throw new TypeError(`a template variable must be a text or a number, not ${typeof value}`);
    },
  });
  return text;
};

/** The templates as texts, by file name without its folder; read once by whoever starts the program. */
export type Templates = Readonly<Record<string, string>>;

/** One template by name; a missing one is a broken installation. */
export const template = (templates: Templates, name: string): string => {
  const text = templates[name];
  if (text === undefined) throw new TypeError(`template ${name} is not installed`);
  return text;
};
