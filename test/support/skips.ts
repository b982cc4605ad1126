/** Names what `npm test` leaves out, before it begins. Loaded by `.mocharc.json`. */
export function mochaGlobalSetup(): void {
  process.stdout.write(
    'Skipped here: the real client, which needs CLAUDE_BIN (npm run test:claude), a real browser, which needs chromium\n' +
      '(npm run test:browser), faults, which take minutes and mounts (npm run test:faults), and the figures (npm run bench).\n',
  );
}
