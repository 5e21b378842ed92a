import t from 'tap';
import { createReaders } from '../../agent/reconcile/reader.ts';

t.test('a file is read again when, and only when, it changed', async (t) => {
  const disk = new Map<string, { stamp: string | null; text: string }>();
  const reads: string[] = [];
  const begin = createReaders({
    stamp: (path) => Promise.resolve(disk.get(path)?.stamp ?? null),
    read: (path) => {
      reads.push(path);
      return Promise.resolve(disk.get(path)?.text ?? null);
    },
  });
  const read = (path: string, expected?: string): Promise<string | null> => begin()(path, expected);
  t.equal(await read('a'), null);
  t.equal(await read('a'), null);
  t.equal(reads.length, 2, 'what is absent is looked for each time');
  disk.set('a', { stamp: null, text: 'young' });
  t.equal(await read('a'), 'young');
  disk.set('a', { stamp: null, text: 'other' });
  t.equal(await read('a'), 'other', 'what has no stamp is not trusted');
  disk.set('a', { stamp: '1', text: 'one' });
  t.equal(await read('a'), 'one');
  reads.length = 0;
  t.equal(await read('a'), 'one');
  t.equal(await read('a', 'something else'), 'one', 'whatever was expected');
  t.equal(reads.length, 0);
  disk.set('a', { stamp: '2', text: 'two' });
  t.equal(await read('a'), 'two');
  disk.delete('a');
  t.equal(await read('a'), null);
  disk.set('a', { stamp: '2', text: 'back' });
  t.equal(await read('a'), 'back', 'nothing is remembered of what was gone');
});

t.test('within one look a file is looked at once', async (t) => {
  let looks = 0;
  const read = createReaders({
    stamp: () => Promise.resolve(`${looks++}`),
    read: () => Promise.resolve('text'),
  })();
  t.strictSame(await Promise.all([read('a'), read('a', 'text'), read('b')]), ['text', 'text', 'text']);
  t.equal(looks, 2);
});

t.test('a file that cannot be read says so each time', async (t) => {
  const begin = createReaders({
    stamp: () => Promise.resolve('1'),
    read: () => Promise.reject(new Error('permission denied')),
  });
  const read = (path: string): Promise<string | null> => begin()(path);
  await t.rejects(read('a'), { message: 'permission denied' });
  await t.rejects(read('a'), { message: 'permission denied' });
});
