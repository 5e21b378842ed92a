import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { runCommand } from './command.ts';
import type { TestHost } from './test-host.ts';
import { ensureTools, type Log } from './tools.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));

/** Only the way in differs from a server's inventory, and that Node is this machine's own instead of the registry's. */
const inventory = (host: TestHost): string => `[appfleet]
${host.name} ansible_host=${host.leader}
[appfleet:vars]
ansible_ssh_executable=${join(repository, 'test/host/ansible-ssh')}
ansible_ssh_transfer_method=piped
appfleet_node_binary=${process.execPath}
`;

const failure = /^(fatal|failed): /;

/**
 * Puts the agent and what it needs onto a test host with the playbook that production uses; `args` are for
 * ansible-playbook, like --check; `playbook` is another one of the same folder. Returns the names of the tasks that changed something; throws with Ansible's words.
 */
export async function provision(
  host: TestHost,
  log: Log,
  options: { playbook?: string; args?: readonly string[] } = {},
): Promise<{ changed: string[] }> {
  await ensureTools(log);
  await runCommand([process.execPath, join(repository, 'build.mjs')]);
  const folder = mkdtempSync(join(tmpdir(), 'appfleet-provision-'));
  try {
    const file = join(folder, 'inventory.ini');
    writeFileSync(file, inventory(host));
    const argv = [
      '--inventory',
      file,
      ...(options.args ?? []),
      join(repository, 'ansible', options.playbook ?? 'site.yml'),
    ];
    const { lines, changed } = await play(argv, log);
    const recap = lines.map((line) => /\bchanged=(\d+)\b/.exec(line)).find((match) => match !== null);
    if (!recap) throw new Error(`the playbook did not reach its end\n${lines.slice(-20).join('\n')}`);
    if (Number(recap[1]) !== changed.length) throw new Error(`${recap[1]} tasks changed, seen: ${changed.join(', ')}`);
    return { changed };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs the playbook, tells each task as it begins and what changed, returns all lines and the tasks that changed something. */
function play(argv: readonly string[], log: Log): Promise<{ lines: string[]; changed: string[] }> {
  const env = {
    ...process.env,
    ANSIBLE_CONFIG: join(repository, 'ansible/ansible.cfg'),
    ANSIBLE_NOCOLOR: '1',
    ANSIBLE_LOCALHOST_WARNING: 'false',
    LC_ALL: 'C.UTF-8',
  };
  const child = spawn('ansible-playbook', argv, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  const changed: string[] = [];
  let current = '';
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      const task = /^(?:TASK|RUNNING HANDLER) \[(.*)\]/.exec(line);
      if (task?.[1]) log(`  ${(current = task[1])}`);
      else if (line.startsWith('changed: ') && changed.at(-1) !== current) {
        changed.push(current);
        log('    changed');
      }
    });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) return resolve({ lines, changed });
      const from = Math.max(0, lines.findIndex((line) => failure.test(line)) - 1);
      reject(new Error(`ansible-playbook ended with ${code}\n${lines.slice(from).join('\n').slice(0, 6000)}`));
    });
  });
}
