/** What a benchmark finds out, and how it is judged and shown. */

export interface Figure {
  name: string;
  value: number;
  unit: string;
  /** What the issue asks for; null where it asks for nothing. */
  target: { atMost: number } | { atLeast: number } | null;
  /** What the value was made from. */
  from?: string;
}

export type Verdict = 'ok' | 'MISS' | '';

/** Rounds as the table does, so that what reads 1.15 is judged as 1.15. */
const rounded = (value: number): number => {
  const digits = value !== 0 && Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0;
  return Number(value.toFixed(digits));
};

export const judge = ({ value, target }: Figure): Verdict => {
  if (target === null) return '';
  // What was not measured is not met.
  const met = 'atMost' in target ? rounded(value) <= target.atMost : rounded(value) >= target.atLeast;
  return met ? 'ok' : 'MISS';
};

export const targetText = ({ target, unit }: Figure): string => {
  if (target === null) return '';
  const bound = 'atMost' in target ? `<= ${target.atMost}` : `>= ${target.atLeast}`;
  return `${bound} ${unit}`.trim();
};

const number = (value: number): string => rounded(value).toLocaleString('en', { maximumFractionDigits: 2 });

export const valueText = (figure: Figure): string => `${number(figure.value)} ${figure.unit}`.trim();

const titles = ['FIGURE', 'VALUE', 'UNIT', 'TARGET', '', 'FROM'];

const cellsOf = (figure: Figure): string[] => [
  figure.name,
  number(figure.value),
  figure.unit,
  targetText(figure),
  judge(figure),
  figure.from ?? '',
];

/** The figures as a table for a terminal. */
export const table = (figures: readonly Figure[]): string => {
  const rows = [titles, ...figures.map(cellsOf)];
  const widths = titles.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === 1 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return rows.map(line).join('\n');
};

/** The middle value; of an even number the mean of the two in the middle. NaN of none. */
export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Linear between the two nearest values. */
export const quantile = (values: readonly number[], part: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const below = sorted[Math.floor(at)] ?? NaN;
  const above = sorted[Math.ceil(at)] ?? NaN;
  return below + (above - below) * (at - Math.floor(at));
};
