import { busybox } from './busybox/recipe.ts';
import { debian } from './debian.ts';
import { demoHttp } from './demo-http/recipe.ts';
import { demoNode } from './demo-node/recipe.ts';
import { mariadb } from './mariadb/recipe.ts';
import { node } from './node/recipe.ts';
import { phpFpm } from './php-fpm/recipe.ts';
import type { Recipe } from './recipe.ts';
import { wordpress } from './wordpress/recipe.ts';

/** Every image there is. */
export const RECIPES: readonly Recipe[] = [debian, phpFpm, wordpress, mariadb, node, demoNode, demoHttp, busybox];

/** Finds an image by a tag; `:latest` may be left out. */
export function recipeOf(tag: string): Recipe {
  const recipe = RECIPES.find(({ tags }) => tags.includes(tag) || tags.includes(`${tag}:latest`));
  if (!recipe) throw new Error(`no recipe for image ${tag}: there are ${RECIPES.flatMap((r) => r.tags).join(', ')}`);
  return recipe;
}
