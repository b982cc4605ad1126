#!/usr/bin/env node
/**
 * `claude-db-proxy`: one of our own commands, or else `claude` with every argument as it came. Our commands also answer to
 * their `proxy-` form; those for which `claude` has a word of its own answer to that form only.
 * Loads what the one command needs: a launch must not wait for the others.
 */
import { isOurCommand, isStatusLine } from './command-names.ts';

const args = process.argv.slice(2);
if (isStatusLine(args[0])) {
  const { statusline } = await import('./status-line/status-line.ts');
  await statusline(process.env);
} else if (isOurCommand(args[0])) {
  const { runCommand } = await import('./commands.ts');
  await runCommand(args);
} else {
  const { launch } = await import('./launch/launch.ts');
  await launch(args, process.env);
}
