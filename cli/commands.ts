/**
 * Our own commands: words in, one command out. Each lives in a file of its own and is loaded when it is asked for.
 * `uninstall` and `proxy-update` are the installer's, in a language that needs no Node.
 */
import { Command } from 'commander';
import { SETTINGS } from '../src/config/settings.ts';
import { codeOf, messageOf } from '../src/errors.ts';
import { VERSION } from '../src/version.ts';
import { PREFIX } from './command-names.ts';
import { firstSignal } from './stop-signal.ts';

/** As for wrong usage, everywhere. */
const REFUSED = 2;

/** `status` and `proxy-status` are one command. */
const command = (program: Command, name: string, description: string): Command =>
  program
    .command(name)
    .alias(PREFIX + name)
    .description(description);

/** For which `claude` has a word of its own. */
const prefixedCommand = (program: Command, name: string, description: string): Command =>
  program.command(PREFIX + name).description(description);

const isTrue = (value: unknown): boolean => value === true;

function build(): Command {
  const { env } = process;
  const program = new Command('claude-db-proxy')
    .description('Double buffering for Claude Code: compaction summaries are computed in the background.')
    .usage("[claude's arguments]   or   claude-db-proxy <command>")
    .helpCommand(false)
    .helpOption(false)
    // Without the second name that most have: the last lines say that.
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .addHelpText('after', AFTER_HELP);

  command(program, 'status', 'show whether the proxy runs, its conversations and the time it saved')
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: boolean }) => (await import('./status.ts')).status(env, { json: isTrue(json) }));
  command(program, 'start', 'start the proxy, without claude').action(async () =>
    (await import('./start-stop.ts')).start(env),
  );
  command(program, 'stop', 'stop the proxy after the requests in progress have ended').action(async () =>
    (await import('./start-stop.ts')).stop(env),
  );
  command(program, 'logs', 'print the log')
    .option('-f, --follow', 'keep printing new lines')
    .option('--json', 'print the log as it is: one JSON object per line')
    .option('-n, --lines <number>', 'how many of the last lines', '50')
    .action(async (options: { follow?: boolean; json?: boolean; lines: string }) => {
      const { follow, json, lines } = options;
      await (await import('./logs.ts')).logs(env, { follow: isTrue(follow), json: isTrue(json), lines });
    });
  command(program, 'history', 'list the compactions of the last 90 days with their cost and the time saved')
    .option('--json', 'print JSON')
    .option('-n, --number <number>', 'how many compactions, newest first')
    .action(async ({ json, number }: { json?: boolean; number?: string }) => {
      const { history } = await import('./history/history.ts');
      await history(env, { json: isTrue(json), ...(number === undefined ? {} : { number }) });
    });
  command(program, 'dashboard', "print the dashboard's address with its access token")
    .option('--open', 'open it in a browser')
    .action(async ({ open }: { open?: boolean }) =>
      (await import('./dashboard.ts')).dashboard(env, { open: isTrue(open) }),
    );
  prefixedCommand(program, 'doctor', 'check the installation and suggest fixes')
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: boolean }) =>
      (await import('./doctor/doctor.ts')).doctor(env, { json: isTrue(json) }),
    );
  prefixedCommand(program, 'update', 'install the newest version; go back if it does not become healthy').action(
    async () => (await import('./installer.ts')).runInstaller(['proxy-update'], env),
  );
  command(program, 'uninstall', 'remove everything that was installed, and restore what was changed')
    .option('--keep-data', 'leave certificates, checkpoints and logs')
    .action(async ({ keepData }: { keepData?: boolean }) =>
      (await import('./installer.ts')).runInstaller(['uninstall', ...(keepData === true ? ['--keep-data'] : [])], env),
    );
  command(program, 'demo', 'watch a conversation grow, be checkpointed and compact, against a simulated API')
    .option('--keep', 'leave the proxy and the simulated API running afterwards')
    .action(async ({ keep }: { keep?: boolean }) => (await import('./demo.ts')).demo({ keep: isTrue(keep) }));
  command(program, 'serve', 'run the proxy in the foreground (settings: DBPROXY_* variables)')
    .option('--no-record', 'do not write runtime.json: for containers and process managers')
    .action(async ({ record }: { record: boolean }) => {
      const stopping = firstSignal();
      await (await import('./serve.ts')).serve(env, { record, stopping });
    });
  command(program, 'statusline', "print a line for Claude Code's statusLine; reads its JSON from stdin").action(
    async () => (await import('./status-line/status-line.ts')).statusline(env),
  );
  prefixedCommand(program, 'version', 'print the version of claude-db-proxy').action(
    () => void process.stdout.write(`${VERSION}\n`),
  );
  prefixedCommand(program, 'help', 'print this help').action(() => program.outputHelp());
  return program;
}

const AFTER_HELP = `
Anything else starts claude, with every argument as it is, through the proxy:
  alias claude="claude-db-proxy"
Each command also answers to its proxy- form (proxy-status, …). Thresholds hold for one launch:
  DBPROXY_CHECKPOINT_THRESHOLD=0.60 claude-db-proxy
Settings are variables:
${settingsHelp()}`;

function settingsHelp(): string {
  const settings = Object.values(SETTINGS);
  const width = Math.max(...settings.map(({ name }) => name.length));
  const lines = settings.map(({ name, default: value, text }) => {
    const line = `  ${name.padEnd(width)}  ${text.replaceAll('`', '')}`;
    return value === '' ? `${line}\n` : `${line} (default: ${value})\n`;
  });
  return lines.join('');
}

/** Runs one of our commands. A failure is one line on stderr, and exit code 1, or 2 for a setting that cannot be used. */
export async function runCommand(args: readonly string[]): Promise<void> {
  try {
    await build().parseAsync(args, { from: 'user' });
  } catch (error) {
    process.stderr.write(`claude-db-proxy: ${messageOf(error)}\n`);
    process.exitCode = codeOf(error) === 'DBPROXY_ERR_CONFIG' ? REFUSED : 1;
  }
}
