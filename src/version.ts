/** The version of this package, read from the `package.json` that it came with. */
import { existsSync, readFileSync } from 'node:fs';
import { isObject } from './wire/json.ts';

function read(): string {
  // From `src/` and from `dist/src/`.
  for (const relative of ['../package.json', '../../package.json']) {
    const url = new URL(relative, import.meta.url);
    if (!existsSync(url)) continue;
    const json: unknown = JSON.parse(readFileSync(url, 'utf8'));
    if (isObject(json) && typeof json['version'] === 'string') return json['version'];
  }
  return '0.0.0';
}

export const VERSION = read();
