/**
 * Says once, before anything runs, which client the suite drives, or why it drives none. Loaded by `mocharc.json`.
 */
import { claude } from './claude.ts';

export function mochaGlobalSetup(): void {
  process.stdout.write(
    claude === null
      ? 'Skipped: CLAUDE_BIN is not set. Run CLAUDE_BIN=/path/to/claude npm run test:claude to drive the real client.\n'
      : `Driving Claude Code ${claude.version} (${claude.bin}).\n`,
  );
}
