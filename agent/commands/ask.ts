import { createInterface } from 'node:readline/promises';

/** Asks a question that only `y` or `yes` affirms. */
export type Ask = (question: string) => Promise<boolean>;

/** Asks on a terminal. */
export const askOn =
  (input: NodeJS.ReadableStream, output: NodeJS.WritableStream): Ask =>
  async (question) => {
    const lines = createInterface({ input, output });
    try {
      // The end of the input is an answer too.
      const ended = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
      const answer = await Promise.race([lines.question(`${question} [y/N] `), ended]);
      return /^y(es)?$/i.test(answer.trim());
    } finally {
      lines.close();
    }
  };
