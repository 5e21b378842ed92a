/** What a strange program said, made fit for a line of a message or a log. */
import { forbidden } from './value.ts';

const longestLine = 200;
const controls = new RegExp(forbidden.source, 'gu');
/** What terminals act on, whole (ECMA-48 5.4, 5.6): without the escape character alone, `[31m` would stay behind. */
const escapes = /\u001b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\u0007\u001b]{0,1000}(?:\u0007|\u001b\\)|[ -/]*[0-~])/g;

/** The last lines of an output that are not empty, in one: `a | b`. Nothing in it is acted on by a terminal or a log. */
export const lastWords = (output: string, lines = 5): string =>
  output
    .replaceAll(escapes, '')
    .split(/[\r\n]+/)
    .map((line) => line.replaceAll('\t', ' ').replaceAll(controls, '').trim())
    .filter((line) => line !== '')
    .slice(-lines)
    .map((line) => (line.length > longestLine ? `${line.slice(0, longestLine - 3)}...` : line))
    .join(' | ');
