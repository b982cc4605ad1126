/** Names what `npm test` leaves out, before it begins. Loaded by `.mocharc.json`. */
export function mochaGlobalSetup(): void {
  process.stdout.write(
    'Skipped here: the real client, which needs CLAUDE_BIN (npm run test:claude), and the figures (npm run bench).\n',
  );
}
