/** Runs axe-core on a page. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import type axe from 'axe-core';

const SOURCE = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8');

/** The violations that axe finds, one line each, with all of its rules. */
export async function axeViolations(page: Page): Promise<string[]> {
  // Evaluated, since the page's policy forbids foreign scripts.
  await page.evaluate(SOURCE);
  const found = await page.evaluate(async () => {
    const { axe: it } = globalThis as unknown as { axe: typeof axe };
    const { violations: all } = await it.run(document);
    return all.map(({ id, help, nodes }) => ({
      id,
      help,
      where: nodes.map((node) => `${node.target.join(' ')} ${node.any[0]?.message ?? ''}`),
    }));
  });
  return found.flatMap(({ id, help, where }) => where.map((it) => `${id}: ${help}: ${it}`));
}
