/** Reads argv and the environment, builds real things, picks a command. The only file that knows the process it runs in. */
import { readdirSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { createCertificateTools } from './adapters/certificate-tools.ts';
import { createHost } from './adapters/host.ts';
import type { CertificateTools } from './certificates/tools.ts';
import type { Context } from './commands/context.ts';
import type { Templates } from './core/template.ts';
import { AppFleetError, messageOf } from './errors.ts';
import type { Host } from './ports.ts';
import { createProgram } from './program.ts';

declare const APPFLEET_VERSION: string | undefined;

/** Templates lie beside the installed program, or in the checkout that it runs from. */
const readTemplates = (): Templates => {
  const here = dirname(process.argv[1] ?? '.');
  const roots = [here, join(here, '..')];
  const texts: Record<string, string> = {};
  for (const folder of ['units', 'vhost-templates'])
    for (const root of roots) {
      try {
        const path = join(root, folder);
        for (const name of readdirSync(path))
          if (name.endsWith('.mustache')) texts[name] ??= readFileSync(join(path, name), 'utf8');
      } catch {
        // Not below this root.
      }
    }
  if (Object.keys(texts).length === 0)
    throw new AppFleetError('AF_FILE', `no templates beside ${here}`, { hint: 'install App Fleet again' });
  return texts;
};

let host: Host | null = null;
let templates: Templates | null = null;
let tools: CertificateTools | null = null;

const context: Context = {
  version: typeof APPFLEET_VERSION === 'string' ? APPFLEET_VERSION : 'development',
  print: (line) => void process.stdout.write(`${line}\n`),
  complain: (line) => void process.stderr.write(`${line}\n`),
  colours: process.stdout.isTTY && process.env['NO_COLOR'] === undefined,
  progress: process.stderr.isTTY,
  width: process.stdout.columns || 120,
  host: () => (host ??= createHost()),
  templates: () => (templates ??= readTemplates()),
  certificates: () => (tools ??= createCertificateTools(context.host().files)),
  consul: async (settings, token = null) => {
    const { createConsul } = await import('./adapters/consul.ts');
    const { createContainerView } = await import('./adapters/docker-view.ts');
    const hostName = hostname().replace(/\..*/, '');
    const { files } = context.host();
    return { consul: createConsul(settings, files, { hostName, token }), containers: createContainerView(), hostName };
  },
  // units/appfleet.sh asks Node for it
  tidyUp: () => globalThis.gc?.(),
  now: () => Date.now() / 1000,
  steady: () => performance.now() / 1000,
};

// `appfleet status | head` closes the pipe: that is no failure.
process.stdout.on('error', () => process.exit(0));

const main = async (): Promise<void> => {
  try {
    process.exitCode = await createProgram(context, process)(process.argv.slice(2));
  } catch (error) {
    const hint = error instanceof AppFleetError && error.hint !== undefined ? `\n  try: ${error.hint}` : '';
    context.complain(`appfleet: ${messageOf(error)}${hint}`);
    process.exitCode = error instanceof AppFleetError && ['AF_USAGE', 'AF_CONFIG'].includes(error.code) ? 2 : 1;
  } finally {
    host?.units.close();
  }
};

/** Resolves when all that was written is on its way: what goes into a pipe does not go at once. */
const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => stream.write('', () => resolve()));

// A question that nobody answered, of a Docker that hangs say, must not hold up who has been answered.
void main()
  .then(() => Promise.all([flushed(process.stdout), flushed(process.stderr)]))
  .then(() => process.exit());
