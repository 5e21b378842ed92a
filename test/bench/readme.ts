/** The README's table of figures, made from what the benchmark wrote with --json. */
import { readFileSync, writeFileSync } from 'node:fs';
import { type Figure, judge, valueText, targetText } from './figure.ts';

const begin = '<!-- figures -->';
const end = '<!-- /figures -->';

const row = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;

/** The figures as a Markdown table. */
export const markdown = (figures: readonly Figure[]): string =>
  [
    row(['figure', 'value', 'target', '', 'from']),
    '|---|---|---|---|---|',
    ...figures.map((figure) =>
      row([figure.name, valueText(figure), targetText(figure), judge(figure), figure.from ?? '']),
    ),
  ].join('\n');

/** The text with the table between the two marks. Throws where they are missing. */
export const withFigures = (text: string, figures: readonly Figure[]): string => {
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`the text lacks the lines ${begin} and ${end}`);
  const said = 'Measured on a test host by `npm run bench -- --readme`, all comparisons side by side in one run.';
  return `${text.slice(0, from)}${begin}\n${said}\n\n${markdown(figures)}\n${text.slice(to)}`;
};

/** Replaces the table in the README. */
export const writeReadme = (path: string, figures: readonly Figure[]): void =>
  writeFileSync(path, withFigures(readFileSync(path, 'utf8'), figures));
