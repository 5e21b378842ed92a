/** What people and broken editors put into site files: how to make each on the host, and what must be said about it. */

export interface BadFile {
  /** For test names; its site is `<name>.files.test` where nothing else is said. */
  name: string;
  /** Content of the file; a function writes a shell script that makes the path ($1) what it shall be. */
  put: string | { script: string };
  /** What `appfleet check` says. Null: the file is right after all. */
  says: RegExp | null;
  /** Line that it names. */
  line?: number;
  key?: string;
}

const good = (more = ''): string => `[site]\nruntime = static\nroot = /srv/files\n${more}[headers]\nX-Version = new\n`;

/** Files that replace a good one. */
export const badFiles: readonly BadFile[] = [
  { name: 'unknown-key', put: good('rot = /srv\n'), says: /is not a key.*root/, line: 4, key: 'rot' },
  { name: 'unknown-section', put: `${good()}[sight]\nx = y\n`, says: /\[sight\]|section/, line: 6 },
  { name: 'no-runtime', put: '[site]\nroot = /srv/files\n', says: /runtime/, key: 'runtime' },
  { name: 'unknown-runtime', put: '[site]\nruntime = pyhton\n', says: /php-fpm/, line: 2, key: 'runtime' },
  {
    name: 'wrong-type',
    put: '[site]\nruntime = node\nimage = node:20\nidle = soon\n',
    says: /./,
    line: 4,
    key: 'idle',
  },
  {
    name: 'wrong-port',
    put: '[site]\nruntime = container\nimage = x\nport = 99999\n',
    says: /65535|port/,
    line: 4,
    key: 'port',
  },
  {
    name: 'wrong-memory',
    put: '[site]\nruntime = node\nimage = x\nmemory = lots\n',
    says: /./,
    line: 4,
    key: 'memory',
  },
  { name: 'key-twice', put: good('root = /srv\n'), says: /already set in line 3/, line: 4, key: 'root' },
  { name: 'alias-of-another', put: good('aliases = good.files.test\n'), says: /good\.files\.test/, key: 'aliases' },
  { name: 'dots-in-root', put: '[site]\nruntime = static\nroot = /srv/../etc\n', says: /\.\./, line: 3, key: 'root' },
  {
    name: 'relative-root',
    put: '[site]\nruntime = static\nroot = srv/files\n',
    says: /absolute|begin/,
    line: 3,
    key: 'root',
  },
  { name: 'dots-in-index', put: good('index = ../passwd\n'), says: /./, line: 4, key: 'index' },
  {
    name: 'dots-in-volume',
    put: '[site]\nruntime = node\nimage = x\nvolumes = /srv/../etc:/x\n',
    says: /\.\./,
    line: 4,
    key: 'volumes',
  },
  { name: 'dots-in-alias', put: good('aliases = a..b.test\n'), says: /./, line: 4, key: 'aliases' },
  {
    name: 'long-alias',
    put: good(`aliases = ${'a'.repeat(300)}.test\n`),
    says: /long|63|253/,
    line: 4,
    key: 'aliases',
  },
  { name: 'semicolon', put: '[site]\nruntime = static\nroot = /srv/files;x\n', says: /quote/, line: 3, key: 'root' },
  { name: 'hash', put: '[site]\nruntime = static\nroot = /srv/files#x\n', says: /quote/, line: 3, key: 'root' },
  { name: 'semicolon-in-header', put: good().replace('= new', '= a; b'), says: /quote/, line: 5, key: 'X-Version' },
  { name: 'open-quote', put: '[site]\nruntime = static\nroot = "/srv/files\n', says: /quote/, line: 3, key: 'root' },
  { name: 'proto-key', put: good('__proto__ = x\n'), says: /key/, line: 4 },
  { name: 'proto-section', put: `${good()}[__proto__]\nruntime = node\n`, says: /section/, line: 6 },
  { name: 'constructor', put: good('constructor = x\n'), says: /is not a key/, line: 4, key: 'constructor' },
  { name: 'no-equals', put: good('what is this\n'), says: /no `=`/, line: 4 },
  { name: 'empty', put: '', says: /runtime/ },
  { name: 'nul', put: good('index = a\0b\n'), says: /U\+0000/, line: 4 },
  {
    name: 'latin1',
    put: { script: `printf '[site]\\nruntime = static\\nroot = /srv/\\344\\n' >"$1"` },
    says: /UTF-8/,
    line: 3,
  },
  { name: 'junk', put: { script: 'head -c 10485760 /dev/urandom >"$1"' }, says: /larger than|larger|UTF-8/ },
  {
    name: 'long-line',
    put: { script: `{ printf '[site]\\nruntime = static\\nroot = /'; head -c 9000 /dev/zero | tr '\\0' a; } >"$1"` },
    says: /1000 characters/,
    line: 3,
  },
  { name: 'dangling', put: { script: 'rm "$1"; ln -s /nowhere/at/all "$1"' }, says: /cannot be read/ },
  { name: 'loop', put: { script: 'rm "$1"; ln -s "$1" "$1"' }, says: /cannot be read.*symbolic links/ },
  { name: 'fifo', put: { script: 'rm "$1"; mkfifo "$1"' }, says: /cannot be read.*not a regular file/ },
  { name: 'folder', put: { script: 'rm "$1"; mkdir "$1"' }, says: /cannot be read.*directory/ },
  { name: 'crlf', put: good().replaceAll('\n', '\r\n'), says: null },
  { name: 'bom', put: `\ufeff${good()}`, says: null },
];

/** Names of files that cannot be sites, and what must be said about each. The content is good. */
export const badNames: readonly { file: string; says: RegExp }[] = [
  { file: '*.wild.files.test', says: /./ },
  { file: 'a..b.files.test', says: /./ },
  { file: '-a.files.test', says: /./ },
  { file: 'under_score.files.test', says: /./ },
  { file: `${'a'.repeat(64)}.files.test`, says: /63/ },
  { file: `${'a.'.repeat(120)}files.test`, says: /200 characters/ },
  { file: 'a b.files.test', says: /./ },
  { file: '$(reboot).files.test', says: /./ },
  { file: '__proto__', says: /./ },
  { file: 'nginx', says: /./ },
  { file: 'ssh', says: /./ },
  { file: 'xn--a.files.test', says: /./ },
  // A unit of this host that the test puts there.
  { file: 'foreign.files.test', says: /foreign\.files\.test\.service is a unit of this host/ },
  // Debian's `service nginx.sh stop` stops nginx.
  { file: 'nginx.sh', says: /`service nginx\.sh stop` would stop nginx\.service/ },
  { file: 'zz-twice.files.test', says: /good\.files\.test is already served by .*good\.files\.test\.ini/ },
];
