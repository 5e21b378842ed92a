/** One link of the chain that `appfleet doctor` looked at. */
export interface Finding {
  /** `host`, or the name of a site or shared container. */
  subject: string;
  link: string;
  mark: 'ok' | 'warn' | 'broken';
  /** What was found. */
  detail: string;
  /** What to do about it. */
  hint?: string;
}

export interface Findings {
  ok(link: string, detail: string): void;
  warn(link: string, detail: string, hint?: string): void;
  broken(link: string, detail: string, hint?: string): void;
  readonly all: Finding[];
}

/** Collects what is found about one subject. */
export const findingsOn = (subject: string): Findings => {
  const all: Finding[] = [];
  const add = (mark: Finding['mark'], link: string, detail: string, hint?: string): void => {
    all.push({ subject, link, mark, detail, ...(hint === undefined ? {} : { hint }) });
  };
  return {
    all,
    ok: (link, detail) => add('ok', link, detail),
    warn: (link, detail, hint) => add('warn', link, detail, hint),
    broken: (link, detail, hint) => add('broken', link, detail, hint),
  };
};
