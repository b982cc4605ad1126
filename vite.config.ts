/** Builds the dashboard and the inspector: `npm run build:web`, from `web/` into `dist/web`, which the proxy serves. */
import { defineConfig } from 'vite';

export default defineConfig({
  root: 'web',
  // Relative, so that the built page works under any path, and from any static server.
  base: './',
  build: {
    outDir: '../dist/web',
    emptyOutDir: true,
    // Everything is a file of its own: the page's policy allows no data: scripts or styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2022',
    cssTarget: ['chrome123', 'firefox121', 'safari17.5'],
    license: { fileName: 'third-party-licenses.md' },
    chunkSizeWarningLimit: 2_000,
  },
});
