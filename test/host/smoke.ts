// npx tsx test/host/smoke.ts [13|12]: the test host itself works, and leaves nothing behind however it ends.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { buildImages } from '../images/build.ts';
import { attachHost, bootHost } from './boot.ts';
import { parseRelease } from './release.ts';
import { sweepStale } from './teardown.ts';
import { tracesOf } from './traces.ts';

const NAME = 'appfleet-smoke';
const log = (line: string) => console.log(line);
const release = parseRelease(process.argv[2] ?? '13');

async function step(title: string, act: () => Promise<void>): Promise<void> {
  const start = Date.now();
  await act();
  console.log(`ok - ${title} (${Date.now() - start} ms)`);
}

if (process.argv[3] === 'hang') {
  // The part of a test run that is about to be killed.
  await bootHost({ name: NAME, release, log });
  console.log('booted');
  await sleep(600_000);
}

const host = await bootHost({ name: NAME, release, log });
await step('systemd says running', async () => {
  assert.equal((await host.run(['systemctl', 'is-system-running'])).stdout.trim(), 'running');
  assert.equal((await host.run(['hostname'])).stdout.trim(), NAME);
});
await step('another process can attach', async () => {
  assert.equal((await attachHost(NAME)?.sh('exit 3', { allowFail: true }))?.code, 3);
});
await step('docker runs containers', async () => {
  await buildImages(host, ['node:20', 'alpine-like'], log);
  const { stdout } = await host.run(['docker', 'run', '--rm', 'node:20', '--version']);
  assert.equal(stdout.trim(), process.version);
  const limited = ['docker', 'run', '--rm', '-m', '32m', '--cpus', '0.5', 'alpine-like', 'true'];
  assert.equal((await host.run(limited)).stderr, '', 'limits without a warning');
});
await step('files go in and out', async () => {
  await host.write('/root/deep/secret', 'täxt\n', 0o600);
  assert.equal(await host.read('/root/deep/secret'), 'täxt\n');
  await host.copyIn(process.execPath, '/usr/local/bin/node');
  assert.equal((await host.run(['node', '--version'])).stdout.trim(), process.version);
});
await step('a command that takes too long is ended', async () => {
  await assert.rejects(host.sh('sleep 77 & sleep 77', { timeoutMs: 200 }), /no end after 200 ms/);
  assert.equal((await host.sh('pgrep -fx "sleep 77" || true')).stdout, '');
});
await step('reboot keeps the disk', async () => {
  await host.reboot();
  assert.equal(await host.read('/root/deep/secret'), 'täxt\n');
  await host.run(['docker', 'run', '--rm', 'alpine-like', 'true']);
});
await step('so does a power cut', async () => {
  await host.powerCut();
  assert.equal(await host.read('/root/deep/secret'), 'täxt\n');
  await host.run(['docker', 'run', '--rm', 'alpine-like', 'true']);
});
await step('down leaves nothing', async () => {
  await host.down();
  assert.deepEqual(tracesOf(NAME), []);
});

for (const signal of ['SIGINT', 'SIGKILL'] as const) {
  await step(`${signal} to the test run`, async () => {
    const args = ['--import', 'tsx', fileURLToPath(import.meta.url), release, 'hang'];
    const run = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    for await (const chunk of run.stdout) if ((chunk as Buffer).includes('booted')) break;
    run.kill(signal);
    if (run.exitCode === null && run.signalCode === null) await once(run, 'exit');
    assert.equal(run.signalCode, signal);
    if (signal === 'SIGKILL') {
      await sleep(200);
      assert.deepEqual(
        tracesOf(NAME).filter((trace) => !/^(folder|cgroup) /.test(trace)),
        [],
        'the kernel ends its processes and mounts',
      );
      sweepStale();
    }
    assert.deepEqual(tracesOf(NAME), []);
  });
}
