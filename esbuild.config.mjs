/**
 * Builds the program that ships, in `dist/`. Bundled, because opening and compiling a thousand small files takes longer than
 * everything else that a start does; what a command does not use is loaded when it is first needed (`import()`). Two kinds
 * of files, because the launcher is in a hurry:
 *
 *   cli/       what is started: each a CommonJS file, which Node loads 20 ms sooner than a module
 *   modules/   what those import() when they need it; modules, and chunks/, which these share
 *
 *   node esbuild.config.mjs [entry directory]
 */
import { chmod, rm, writeFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const ROOT = fileURLToPath(new URL('.', import.meta.url));

const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  // Names stay: they are what a stack in the log tells.
  minifyWhitespace: true,
  minifySyntax: true,
  keepNames: false,
  legalComments: 'linked',
  // Its CommonJS looks for its own files in a way that no bundler follows.
  alias: { 'jsonc-parser': 'jsonc-parser/lib/esm/main.js' },
  // Native code, and what packages look for without needing it.
  external: ['libsql', 'bufferutil', 'utf-8-validate'],
};

const modules = {
  ...common,
  format: 'esm',
  splitting: true,
  // Packages that are CommonJS ask for Node's own modules by `require`.
  banner: { js: "import{createRequire as $require}from'node:module';const require=$require(import.meta.url);" },
};

/** Sources that something in `cli/` imports later. */
const later = new Set();
const leaveForLater = {
  name: 'leave for later',
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^\./ }, async ({ kind, path, resolveDir, pluginData }) => {
      if (kind !== 'dynamic-import' || pluginData === 'asked') return undefined;
      const found = await resolve(path, { kind, resolveDir, pluginData: 'asked' });
      const source = relative(ROOT, found.path);
      later.add(source);
      // Of main.js only, which is one directory down.
      return { path: `../modules/${source.replace(/\.ts$/, '.js')}`, external: true };
    });
  },
};

async function buildProgram() {
  const into = { outbase: '.', outdir: 'dist' };
  const old = ['cli', 'modules', 'chunks'].map((directory) => `dist/${directory}`);
  await Promise.all(old.map((directory) => rm(directory, { recursive: true, force: true })));
  await build({
    ...common,
    ...into,
    // The last two are the container's and the installer's.
    entryPoints: ['cli/main.ts', 'cli/health.ts', 'cli/status-line/settings-filter.ts'],
    format: 'cjs',
    define: { 'import.meta.url': '$url' },
    banner: { js: "const $url=require('node:url').pathToFileURL(__filename).href;" },
    plugins: [leaveForLater],
  });
  await writeFile('dist/cli/package.json', '{ "type": "commonjs" }\n');
  await build({
    ...modules,
    ...into,
    entryPoints: [...later],
    entryNames: 'modules/[dir]/[name]',
    chunkNames: 'chunks/[name]-[hash]',
  });
  await chmod('dist/cli/main.js', 0o755);
}

// With an entry and a directory only that: the bench measures the proxy as it ships.
const [entry, outdir] = process.argv.slice(2);
if (entry !== undefined && outdir !== undefined) await build({ ...modules, entryPoints: [entry], outdir });
else await buildProgram();
