/** Names what `npm test` leaves out, before it begins. Loaded by `.mocharc.json`. */
export function mochaGlobalSetup(): void {
  process.stdout.write(
    'Skipped here: the launcher without Node and the installer (npm run test:launcher, test:install), the container, which\n' +
      'needs Podman (test:container), the real client, which needs CLAUDE_BIN (test:claude), a real browser, which needs\n' +
      'chromium (test:browser), faults, which take minutes and mounts (test:faults), and the figures (bench).\n',
  );
}
