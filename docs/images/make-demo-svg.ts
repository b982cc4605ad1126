/**
 * Makes `docs/images/demo.svg` from the output of `npm run demo`: `npm run pictures`. It holds text, which can be
 * searched and scaled.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const LINE_HEIGHT = 18;
const CHAR_WIDTH = 7.83;
const COLOURS: readonly (readonly [RegExp, string])[] = [
  [/\bIDLE\b/, '#8b949e'],
  [/\bCHECKPOINTING\b/, '#d29922'],
  [/\bWAL_ACTIVE\b/, '#58a6ff'],
  [/\bSWAP_READY\b/, '#bc8cff'],
  [/✓/, '#3fb950'],
  [/[▸⇄]/, '#d29922'],
];

const escaped = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
const colourOf = (line: string): string => COLOURS.find(([pattern]) => pattern.test(line))?.[1] ?? '#c9d1d9';

const output = execFileSync(process.execPath, ['--import', 'tsx', 'cli/main.ts', 'demo'], {
  cwd: ROOT,
  env: { ...process.env, NO_COLOR: '1' },
  encoding: 'utf8',
});
const lines = output.trimEnd().split('\n');
const width = Math.ceil(Math.max(...lines.map((line) => line.length)) * CHAR_WIDTH) + 48;
const height = lines.length * LINE_HEIGHT + 48;
const text = lines
  .map((line, row) => {
    const y = 36 + row * LINE_HEIGHT;
    return `<text x="24" y="${y}" fill="${colourOf(line)}" xml:space="preserve">${escaped(line)}</text>`;
  })
  .join('\n');
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="Output of npm run demo">
<rect width="100%" height="100%" rx="10" fill="#0d1117"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, 'DejaVu Sans Mono', monospace" font-size="13">
${text}
</g>
</svg>
`;
writeFileSync(fileURLToPath(new URL('demo.svg', import.meta.url)), svg);
