/** Names what `npm test` leaves out, before it begins. Loaded by `.mocharc.json`. */
export function mochaGlobalSetup(): void {
  process.stdout.write(
    'Skipped here: the launcher without Node and the installer (npm run test:launcher, test:install), the container, which ' +
      'needs Podman (test:container), the real client, which needs CLAUDE_BIN (test:claude), and the figures (bench).\n',
  );
}
