import { execFile } from 'node:child_process';
import { createCertificates } from '../certificates/shelf.ts';
import type { Host } from '../ports.ts';
import { createBus } from './bus.ts';
import { createDocker } from './docker.ts';
import { createFiles } from './files.ts';
import { createNginx } from './nginx.ts';
import { createSystemd } from './systemd.ts';
import { createX509 } from './x509.ts';

export interface Output {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program without a shell and returns what it said; only a program that cannot be started rejects. */
export const run = ([program, ...args]: readonly string[]): Promise<Output> =>
  new Promise((resolve, reject) => {
    if (program === undefined) return reject(new TypeError('no program to run'));
    execFile(program, args, { maxBuffer: 64 * 1024 * 1024, timeout: 300_000 }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== 'number' && error.signal == null)
        return reject(new Error(`${program} cannot be run: ${error.message}`, { cause: error }));
      resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : 1, stdout, stderr });
    });
  });

/** The real machine. Connects to the bus and to Docker when first asked. */
export const createHost = (): Host => {
  const files = createFiles();
  const now = (): number => Date.now() / 1000;
  return {
    files,
    units: createSystemd(createBus()),
    containers: createDocker(),
    web: createNginx({ run, files }),
    certificates: createCertificates(files, createX509(), now),
    now,
  };
};
