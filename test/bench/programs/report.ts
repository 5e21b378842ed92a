/** How a measuring program gets its input, tells its progress and gives its result. */
export const program = <I, O>(work: (input: I, tell: (line: string) => void) => Promise<O>): void => {
  const input = JSON.parse(process.argv[2] ?? 'null') as I;
  work(input, (line) => process.stderr.write(`${line}\n`)).then(
    (result) => process.stdout.write(JSON.stringify(result), () => process.exit(0)),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      process.exit(1);
    },
  );
};
