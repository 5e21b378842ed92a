import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const digest = (content: Buffer): string => `sha256:${createHash('sha256').update(content).digest('hex')}`;
const types = {
  manifest: 'application/vnd.docker.distribution.manifest.v2+json',
  config: 'application/vnd.docker.container.image.v1+json',
  layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
};

/** A layer with one file of random bytes, so that no engine has it yet. */
const makeLayer = (bytes: number): Buffer => {
  const folder = mkdtempSync(join(tmpdir(), 'af-t-'));
  writeFileSync(join(folder, 'random'), randomBytes(bytes));
  const tar = execFileSync('tar', ['-C', folder, '-c', 'random'], { maxBuffer: 2 * bytes + 100_000 });
  rmSync(folder, { recursive: true });
  return tar;
};

/** A registry on loopback, which Docker trusts without TLS: `good:1` can be pulled, `torn:1` loses its second layer. */
export const startRegistry = async (): Promise<{ address: string; stop: () => void }> => {
  const tars = [makeLayer(100_000), makeLayer(5_000_000)];
  const blobs = new Map<string, Buffer>();
  const keep = (content: Buffer, mediaType: string) => {
    blobs.set(digest(content), content);
    return { mediaType, size: content.length, digest: digest(content) };
  };
  // Two images with one configuration would be one image to Docker, and the second never asked for.
  const configOf = (name: string) => {
    const rootfs = { type: 'layers', diff_ids: tars.map(digest) };
    const config = { architecture: 'amd64', os: 'linux', config: { Labels: { name } }, rootfs };
    return keep(Buffer.from(JSON.stringify(config)), types.config);
  };
  const layers = tars.map((tar) => keep(gzipSync(tar), types.layer));
  const manifestOf = (name: string, layers: unknown[]): Buffer =>
    Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: types.manifest, config: configOf(name), layers }));
  const lost = { ...layers[1], digest: digest(Buffer.from('lost')) };
  const manifests = new Map([
    ['good', manifestOf('good', layers)],
    ['torn', manifestOf('torn', [layers[0], lost])],
  ]);

  const server = createServer((message, answer) => {
    const [, , name = '', kind, reference = ''] = (message.url ?? '').split('/');
    const content =
      kind === 'blobs' ? blobs.get(reference) : kind === 'manifests' ? manifests.get(name) : Buffer.from('{}');
    if (!content) return void answer.writeHead(404).end();
    answer.writeHead(200, {
      'content-type': kind === 'manifests' ? types.manifest : 'application/octet-stream',
      'content-length': content.length,
      'docker-content-digest': digest(content),
    });
    answer.end(message.method === 'HEAD' ? undefined : content);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
};
