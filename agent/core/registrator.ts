/** The words of registrator (gliderlabs/registrator): variables and labels that say how a container is registered. */

/** Tags with commas between; `\,` is a comma of the tag's own. Empty ones are none. */
export const tagsIn = (text: string): string[] =>
  text
    .split(/(?<!\\),/)
    .map((tag) => tag.replaceAll('\\,', ','))
    .filter((tag) => tag !== '');
