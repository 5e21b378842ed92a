/** A file read against the table of keys: typed values on one side, every problem on the other. */
import { type Entry, readIni } from './ini.ts';
import type { FileKind, FreeSection, Key } from './keys.ts';
import { didYouMean } from './nearest.ts';
import type { Problem, SourceFile } from './problem.ts';
import type { Runtime } from './spec.ts';

export interface Form {
  /** The value, or its default; null when there is neither, or when it is wrong (then a problem says so). */
  take<T>(key: Key<T>): T | null;
  /** The value or its default, for keys that always have one; `fallback` stands in for a wrong value, next to its problem. */
  takeOr<T>(key: Key<T>, fallback: T): T;
  /** Reports a key that is not there. */
  require(key: Key<unknown>): void;
  /** Names and values of a free section, in the order of the file. */
  takeFree(section: string): [name: string, value: string][];
  /** From here on keys are those of this runtime: reports keys that it does not have and keys that it lacks. */
  restrict(runtime: Runtime): void;
  /** Whether the section itself is there, be it empty. */
  present(): boolean;
  /** Adds a problem at the line of a key, or of the file as a whole. */
  refuse(key: Pick<Key<unknown>, 'section' | 'name'> | null, message: string, hint?: string): void;
  /** All problems in the order of the file. */
  problems(): Problem[];
}

const list = new Intl.ListFormat('en');

/** Whether a key is in this table; own properties only, so that `constructor` is a word like any other. */
const keyOf = (kind: FileKind, name: string): Key<unknown> | undefined =>
  Object.hasOwn(kind.keys, name) ? kind.keys[name] : undefined;

const freeOf = (kind: FileKind, section: string): FreeSection | undefined =>
  kind.free.find((each) => each.name === section);

/** Reads a file and checks its sections and keys; values are checked as they are taken. */
export const openForm = (source: SourceFile, kind: FileKind): Form => {
  // lines above the first section are a problem of their own; they are read on as if the section stood there
  const sectionOf = (name: string): string => (name === '' ? kind.section : name);
  const text = readIni(
    source,
    (section, name) => sectionOf(section) === kind.section && keyOf(kind, name)?.type.comment !== false,
  );
  const problems: Problem[] = text.problems;
  const taken = new Map<string, Entry>();
  const free = new Map<string, Entry[]>(kind.free.map((section) => [section.name, []]));
  // a value that could not be read has its problem; a second one, that the key is missing, would only confuse
  const spoilt = new Set(text.problems.filter((p) => sectionOf(p.section ?? '') === kind.section).map((p) => p.key));
  const whole = source.text === null || text.problems.some((p) => p.line === undefined);
  let runtime: Runtime | undefined;

  const refuseLine = ({ line, section }: Entry, message: string, hint?: string): Problem => {
    const problem: Problem = { file: source.path, line, section: sectionOf(section), message, hint };
    problems.push(problem);
    return problem;
  };
  const refuseAt = (entry: Entry, message: string, hint?: string): void => {
    refuseLine(entry, message, hint).key = entry.key;
  };

  const sortKey = (entry: Entry): void => {
    if (keyOf(kind, entry.key) !== undefined) return void taken.set(entry.key, entry);
    const inFree = freeOf(kind, entry.key);
    const hint =
      inFree === undefined ? didYouMean(entry.key, Object.keys(kind.keys)) : `write it as a section [${entry.key}]`;
    refuseAt(entry, `is not a key of [${kind.section}]`, hint);
  };

  const sortFree = (entry: Entry, section: FreeSection): void => {
    const name = section.parseName(entry.key);
    // without the key: it may be a piece of a secret that was pasted in several lines
    if (!name.ok) return void refuseLine(entry, name.message, name.hint);
    if (keyOf(kind, entry.key) !== undefined)
      return refuseAt(
        entry,
        `is a key of [${kind.section}] but stands in [${section.name}]`,
        `move it above [${section.name}]`,
      );
    const entries = free.get(section.name) ?? [];
    const twin =
      section.name === 'headers' ? entries.find((e) => e.key.toLowerCase() === entry.key.toLowerCase()) : undefined;
    if (twin !== undefined) return refuseAt(entry, `is already set in line ${twin.line}`, 'remove one of them');
    entries.push(entry);
  };

  const known = [kind.section, ...kind.free.map((section) => section.name), ...kind.more.map((more) => more.section)];
  for (const [section, line] of text.sections) {
    if (known.includes(section)) continue;
    const main =
      keyOf(kind, section) === undefined ? didYouMean(section, known) : `write it as a key of [${kind.section}]`;
    problems.push({
      file: source.path,
      line,
      section,
      message: `[${section}] is not a section of a ${kind.kind} file`,
      hint: main ?? `there ${known.length === 1 ? 'is' : 'are'} ${list.format(known.map((each) => `[${each}]`))}`,
    });
  }
  for (const entry of text.entries) {
    const section = freeOf(kind, entry.section);
    if (sectionOf(entry.section) === kind.section) sortKey(entry);
    else if (section !== undefined) sortFree(entry, section);
  }

  const take = <T>(key: Key<T>): T | null => {
    const entry = taken.get(key.name);
    const preset = (runtime === undefined ? undefined : key.defaults[runtime]) ?? key.default;
    const written = entry?.value ?? preset;
    if (written === null) return null;
    if (entry !== undefined && written === '' && preset !== '') {
      refuseAt(entry, 'has no value', `write it like ${key.example}, or remove the line`);
      return null;
    }
    const parsed = key.type.parse(written);
    if (parsed.ok) return parsed.value;
    if (entry !== undefined) refuseAt(entry, parsed.message, parsed.hint);
    return null;
  };

  const require = (key: Key<unknown>, why = ''): void => {
    if (taken.has(key.name) || spoilt.has(key.name) || whole) return;
    problems.push({
      file: source.path,
      section: key.section,
      key: key.name,
      message: `is missing${why}`,
      hint: `write ${key.name} = ${key.example}`,
    });
  };

  return {
    take,
    require,
    takeOr: (key, fallback) => take(key) ?? fallback,
    takeFree: (name) => {
      const section = freeOf(kind, name);
      return (free.get(name) ?? []).flatMap((entry): [string, string][] => {
        const value = section?.value.parse(entry.value) ?? { ok: true, value: entry.value };
        if (value.ok) return [[entry.key, value.value]];
        refuseAt(entry, value.message, value.hint);
        return [];
      });
    },
    restrict: (chosen) => {
      runtime = chosen;
      for (const key of Object.values(kind.keys)) {
        const entry = taken.get(key.name);
        if (entry !== undefined && !key.runtimes.includes(chosen)) {
          refuseAt(entry, `has no meaning for runtime ${chosen}`, `it is for ${list.format(key.runtimes)}`);
          taken.delete(key.name);
        }
        if (entry === undefined && key.required.includes(chosen)) require(key, `: a ${chosen} site needs it`);
      }
      for (const section of kind.free) {
        const [entry] = free.get(section.name) ?? [];
        if (entry !== undefined && !section.runtimes.includes(chosen))
          problems.push({
            file: source.path,
            line: text.sections.get(section.name),
            section: section.name,
            message: `[${section.name}] has no meaning for runtime ${chosen}`,
            hint: `it is for ${list.format(section.runtimes)}`,
          });
      }
    },
    refuse: (key, message, hint) => {
      const inSection = key === null ? [] : (free.get(key.section) ?? []);
      const entry = key === null ? undefined : (inSection.find((each) => each.key === key.name) ?? taken.get(key.name));
      if (entry !== undefined) return refuseAt(entry, message, hint);
      problems.push({
        file: source.path,
        ...(key === null ? {} : { section: key.section, key: key.name }),
        message,
        hint,
      });
    },
    present: () => text.sections.has(kind.section),
    problems: () => problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0)),
  };
};
