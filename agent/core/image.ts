/** Ways to get an image that is not on the host, in words. */

/** The registry in an image's name; null for Docker Hub, which needs no name. A first part is a host only with a dot, a port, or as localhost. */
const registryOf = (image: string): string | null => {
  const slash = image.indexOf('/');
  const first = slash < 0 ? '' : image.slice(0, slash);
  return first === 'localhost' || /[.:]/.test(first) ? first : null;
};

/** Where an image comes from, for a hint: registries that want a login, and files, are ways too. The agent notices any of them. */
export const waysToImage = (image: string): string => {
  const registry = registryOf(image);
  return (
    `docker pull ${image} says why not; where a login is wanted first: docker login${registry === null ? '' : ` ${registry}`}; ` +
    'from a file: docker load -i FILE'
  );
};
