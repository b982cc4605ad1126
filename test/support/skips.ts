/** Names what `npm test` leaves out, before it begins. Loaded by `.mocharc.json`. */
export function mochaGlobalSetup(): void {
  process.stdout.write(
    'Skipped here: long tests (npm run test:long), the launcher without Node and the installer (test:launcher, test:install),\n' +
      'the container, which needs Podman (test:container), the real client, which needs CLAUDE_BIN (test:claude), a real browser,\n' +
      'which needs chromium (test:browser), faults, which take minutes and mounts (test:faults), and the figures (bench).\n',
  );
}
