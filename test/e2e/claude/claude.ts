/**
 * Which Claude Code this run drives, and what is known of that version. Expectations that differ between versions are
 * stated here, once, and nowhere else (measured on 2.0.76, 2.1.63, 2.1.112, 2.1.200, 2.1.280 and 2.1.330).
 */
import { execFileSync } from 'node:child_process';
import type { AsyncFunc, Suite } from 'mocha';

/** The client under test. */
export interface Claude {
  /** As given in `CLAUDE_BIN`. */
  readonly bin: string;
  /** What to start: the binary itself, or Node with the script that older versions are. */
  readonly command: readonly [string, ...string[]];
  /** E.g. `2.1.330`. */
  readonly version: string;
}

/** The version is asked for once, with nothing of ours in the environment. */
function versionOf([program, ...args]: Claude['command']): string {
  const { PATH, HOME } = process.env;
  const said = execFileSync(program, [...args, '--version'], {
    env: { PATH, HOME },
    encoding: 'utf8',
    timeout: 60_000,
  });
  const version = /^\d+\.\d+\.\d+/.exec(said.trim())?.[0];
  if (version === undefined) throw new Error(`CLAUDE_BIN --version said ${JSON.stringify(said)}, which is no version`);
  return version;
}

function find(): Claude | null {
  const bin = process.env['CLAUDE_BIN'] ?? '';
  if (bin === '') return null;
  const command: Claude['command'] = bin.endsWith('.js') ? [process.execPath, bin] : [bin];
  return { bin, command, version: versionOf(command) };
}

/** The client of this run; null when there is none, and then no test of this suite is registered. */
export const claude = find();

function isAtLeast(version: string): boolean {
  const [ours, least] = [claude?.version ?? '0.0.0', version].map((text) => text.split('.').map(Number));
  for (let part = 0; part < 3; part += 1) {
    const difference = (ours?.[part] ?? 0) - (least?.[part] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/** What the client of this run does and does not. */
export const traits = {
  /** Says in headers what kind of request it sends (first seen in 2.1.280). */
  sendsClassHeaders: isAtLeast('2.1.280'),
  /** Keeps the newest round out of a compaction, verbatim; older ones drop it, and only the summary can carry it. */
  keepsNewestRound: isAtLeast('2.1.200'),
  /** Tells in `compact_metadata` how long a compaction took. */
  tellsDuration: isAtLeast('2.1.112'),
  /** Compacts when the API refuses a prompt as too long (`reactive`). */
  compactsOnRefusal: isAtLeast('2.1.200'),
  /** Has `/clear` without a terminal. */
  clears: isAtLeast('2.1.200'),
  /** Shows what is typed while a tool runs to the model at once; older ones make a turn of it afterwards. */
  hearsMeanwhile: isAtLeast('2.1.63'),
  /** Has side questions (`/btw`), as a control request too. */
  asksAside: isAtLeast('2.1.112'),
  /** Knows the 5.5 models: windows of a million tokens, `role: "system"` messages. */
  knowsModels55: isAtLeast('2.1.280'),
} as const;

/** A suite with the real client; empty where there is none. */
export function describeWithClaude(title: string, suite: (this: Suite) => void): void {
  if (claude !== null) describe(title, suite);
}

/** A test that makes sense only where the client has a trait; otherwise it is listed as pending, with the reason. */
export function itWhere(trait: keyof typeof traits, title: string, test: AsyncFunc): void {
  if (traits[trait]) it(title, test);
  else it.skip(`${title} (${claude?.version ?? ''} lacks it: ${trait})`);
}
