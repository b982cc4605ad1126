import { readFileSync } from 'node:fs';
import { expect } from 'chai';

const read = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
const variablesIn = (text: string, pattern: RegExp): string[] =>
  [...new Set([...text.matchAll(pattern)].map(([, name = '']) => name))].sort();

/** Variables that are set for the container itself or read by the launcher alone. */
const NOT_FOR_COMPOSE = new Set([
  'DBPROXY_DASHBOARD_PORT',
  'DBPROXY_DATA_DIR',
  'DBPROXY_HOST',
  'DBPROXY_PROXY_PORT',
  'DBPROXY_RUNTIME',
]);

describe('the configuration', () => {
  const parsed = variablesIn(read('src/config.ts'), /'(DBPROXY_[A-Z_]+)'/g);

  it("has each variable of the parser in README's table, and no other", () => {
    expect(variablesIn(read('README.md'), /^\| `(DBPROXY_[A-Z_]+)` \|/gm)).to.deep.equal(parsed);
  });

  it("has each variable that the container reads in compose.yaml's list, and no other", () => {
    expect(variablesIn(read('compose.yaml'), /^ {6}- (DBPROXY_[A-Z_]+)$/gm)).to.deep.equal(
      parsed.filter((name) => !NOT_FOR_COMPOSE.has(name)),
    );
  });
});
