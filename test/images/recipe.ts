/** How a container of the image starts, in the words of the image format. */
export interface ImageConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly WorkingDir?: string;
  readonly User?: string;
  readonly StopSignal?: string;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
  readonly Volumes?: Readonly<Record<string, object>>;
}

/**
 * An image that behaves as the official one of that name, made from Debian packages, so that no registry is needed.
 * Its folder here may hold `root/`, copied over the image's file system, and `setup.sh`, then run in it.
 */
export interface Recipe {
  /** The folder, and the layer's name in the cache. */
  readonly name: string;
  readonly tags: readonly string[];
  /** The image that this one adds a layer to; without it the layer stands alone, and `setup.sh` fills `/layer`. */
  readonly from?: Recipe;
  readonly packages?: readonly string[];
  /** Files of this machine: path in the image -> path here, and what tells one version from another. */
  readonly extra?: Readonly<Record<string, { readonly from: string; readonly version: string }>>;
  readonly config: ImageConfig;
}

/** From the ground up. */
export function lineage(recipe: Recipe): Recipe[] {
  return [...(recipe.from ? lineage(recipe.from) : []), recipe];
}
