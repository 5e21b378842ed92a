export interface Cell {
  text: string;
  /** Adds colours; must not change what is seen. */
  paint?: (text: string) => string;
}

export interface Column {
  title: string;
  align?: 'right';
  /** May be cut in its middle down to so many characters, where there is no room. */
  least?: number;
  /** May be left out where there is no room; the last such column goes first. */
  spare?: boolean;
}

const gap = '  ';

const cut = (text: string, width: number): string => {
  if (text.length <= width) return text;
  const tail = Math.floor((width - 1) / 2);
  return `${text.slice(0, width - 1 - tail)}…${text.slice(text.length - tail)}`;
};

/** Lines of a table no wider than `width`, if that can be had; columns without any content are left out. */
export const table = (columns: readonly Column[], rows: readonly (readonly Cell[])[], width: number): string[] => {
  const shown = columns
    .map((column, index) => {
      const longest = Math.max(0, ...rows.map((row) => row[index]?.text.length ?? 0));
      return { column, index, longest, width: Math.max(longest, column.title.length) };
    })
    .filter(({ longest }) => longest > 0);
  const over = (): number => shown.reduce((sum, one) => sum + one.width + gap.length, -gap.length) - width;
  for (const one of shown)
    if (over() > 0) one.width -= Math.max(0, Math.min(over(), one.width - (one.column.least ?? one.width)));
  while (over() > 0) {
    const index = shown.findLastIndex(({ column }) => column.spare === true);
    if (index < 0) break;
    shown.splice(index, 1);
  }
  const line = (cells: readonly (Cell | undefined)[]): string =>
    shown
      .map(({ column, index, width }, place) => {
        const { text, paint = (same: string) => same } = cells[index] ?? { text: '' };
        const seen = cut(text, width);
        const blank = ' '.repeat(width - seen.length);
        if (column.align === 'right') return blank + paint(seen);
        return place === shown.length - 1 ? paint(seen) : paint(seen) + blank;
      })
      .join(gap)
      .trimEnd();
  return [line(columns.map(({ title }) => ({ text: title }))), ...rows.map(line)];
};
