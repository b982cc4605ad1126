/**
 * Builds the program that ships: each command's entry and the chunks they share, in `dist/`. Bundled, because opening and
 * compiling a thousand small files takes longer than everything else that the start does; what a command does not use is
 * loaded when it is first needed (`import()`).
 *
 *   node esbuild.config.mjs [entry directory]
 */
import { chmod, rm } from 'node:fs/promises';
import { build } from 'esbuild';

const options = {
  bundle: true,
  splitting: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  // Names stay: they are what a stack in the log tells.
  minifyWhitespace: true,
  minifySyntax: true,
  keepNames: false,
  legalComments: 'linked',
  // Its CommonJS looks for its own files in a way that no bundler follows.
  alias: { 'jsonc-parser': 'jsonc-parser/lib/esm/main.js' },
  // Native code, and what packages look for without needing it.
  external: ['libsql', 'bufferutil', 'utf-8-validate'],
  // Packages that are CommonJS ask for Node's own modules by `require`.
  banner: { js: "import{createRequire as $require}from'node:module';const require=$require(import.meta.url);" },
};

// With an entry and a directory only that: the bench measures the proxy as it ships.
const [entry, outdir] = process.argv.slice(2);
if (entry !== undefined && outdir !== undefined) await build({ ...options, entryPoints: [entry], outdir });
else {
  await Promise.all(['dist/cli', 'dist/chunks'].map((directory) => rm(directory, { recursive: true, force: true })));
  await build({
    ...options,
    // The last two are the container's and the installer's.
    entryPoints: ['cli/main.ts', 'cli/health.ts', 'cli/status-line/settings-filter.ts'],
    outbase: '.',
    outdir: 'dist',
    entryNames: '[dir]/[name]',
    chunkNames: 'chunks/[name]-[hash]',
  });
  await chmod('dist/cli/main.js', 0o755);
}
