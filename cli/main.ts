#!/usr/bin/env node
/**
 * `claude-db-proxy`: one of our own commands, or else `claude` with every argument as it came. Our commands also answer to
 * their `proxy-` form; those for which `claude` has a word of its own answer to that form only.
 * A launch and the status line are in a hurry: they are one CommonJS file with this (esbuild.config.mjs), which Node loads
 * sooner than modules, and nothing that they need only sometimes is in it.
 */
import { isOurCommand, isStatusLine } from './command-names.ts';
import { launch } from './launch/launch.ts';
import { statusline } from './status-line/status-line.ts';

/** What the launcher in sh hid from Node's own start (posix/launcher/claude-db-proxy.sh) is the user's again. */
function restoreCertificates(env: NodeJS.ProcessEnv): void {
  const { DBPROXY_LATER_CA_CERTS: hidden } = env;
  if (hidden === undefined) return;
  env['NODE_EXTRA_CA_CERTS'] = hidden;
  delete env['DBPROXY_LATER_CA_CERTS'];
}

async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  restoreCertificates(env);
  if (isStatusLine(args[0])) await statusline(env);
  else if (isOurCommand(args[0])) await (await import('./commands.ts')).runCommand(args);
  else await launch(args, env);
}

void main(process.argv.slice(2), process.env);
