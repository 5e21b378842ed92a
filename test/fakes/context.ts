import { readdirSync, readFileSync } from 'node:fs';
import type { Context } from '../../agent/commands/context.ts';
import type { Host } from '../../agent/ports.ts';

export interface FakeContext extends Context {
  /** Lines printed so far. */
  out: string[];
  /** Lines complained so far. */
  err: string[];
  /** Takes what was printed as one text and begins anew. */
  take(): string;
}

/** The templates of this checkout. */
const readTemplates = (): Record<string, string> =>
  Object.fromEntries(
    ['units', 'vhost-templates'].flatMap((folder) => {
      const path = new URL(`../../${folder}/`, import.meta.url);
      const names = readdirSync(path).filter((name) => name.endsWith('.mustache'));
      return names.map((name) => [name, readFileSync(new URL(name, path), 'utf8')] as const);
    }),
  );

/** No terminal, 120 columns. */
export const createFakeContext = (host: Host, change: Partial<Context> = {}): FakeContext => {
  const out: string[] = [];
  const err: string[] = [];
  return {
    version: '1.2.3',
    print: (line) => void out.push(line),
    complain: (line) => void err.push(line),
    colours: false,
    progress: false,
    width: 120,
    host: () => host,
    templates: readTemplates,
    certificates: () => {
      throw new Error('this test has no certificates');
    },
    consul: () => Promise.reject(new Error('this test has no Consul')),
    now: () => host.now(),
    tidyUp: () => undefined,
    steady: () => 0,
    ...change,
    out,
    err,
    take: () => [...out.splice(0), ...err.splice(0).map((line) => `! ${line}`)].join('\n'),
  };
};
