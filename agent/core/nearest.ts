/** Restricted Damerau-Levenshtein distance: insertions, deletions, substitutions and swaps of neighbours. */
export const distance = (a: string, b: string): number => {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, (before[j - 2] ?? 0) + 1);
      row.push(least);
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
};

const longestWord = 64;

/** The candidate that somebody who wrote `word` most likely meant, or undefined when none is near. */
export const nearest = (word: string, candidates: Iterable<string>): string | undefined => {
  if (word === '' || word.length > longestWord) return undefined;
  const plain = word.toLowerCase().replaceAll('-', '_');
  let best: { candidate: string; score: number } | undefined;
  for (const candidate of candidates) {
    const other = candidate.toLowerCase().replaceAll('-', '_');
    const shorter = Math.min(plain.length, other.length);
    const begins = shorter >= 3 && (plain.startsWith(other) || other.startsWith(plain));
    const steps = distance(plain, other);
    if (steps > Math.max(1, Math.floor(Math.max(plain.length, other.length) / 3)) && !begins) continue;
    if (best === undefined || steps < best.score) best = { candidate, score: steps };
  }
  return best?.candidate;
};

/** `did you mean x?`, or undefined. */
export const didYouMean = (word: string, candidates: Iterable<string>): string | undefined => {
  const near = nearest(word, candidates);
  return near === undefined ? undefined : `did you mean \`${near}\`?`;
};
