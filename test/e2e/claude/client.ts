/**
 * The real Claude Code as a process without a terminal: user lines go in one after the other, each is answered by lines
 * of JSON that end with a `result`. Knows nothing of the proxy but its address and its CA.
 */
import { randomUUID } from 'node:crypto';
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import { claude } from './claude.ts';

/** One line of the client's output. */
export interface ClientLine {
  readonly type: string;
  readonly subtype?: string;
  readonly [field: string]: unknown;
}

/** What the client tells of a compaction; older versions know the first two only. */
export interface CompactMetadata {
  readonly trigger: 'auto' | 'manual';
  readonly pre_tokens: number;
  readonly post_tokens?: number;
  readonly duration_ms?: number;
}

/** What one user line led to. */
export interface Turn {
  /** The text of the `result`. */
  readonly text: string;
  readonly isError: boolean;
  /** Everything that was printed, the `result` included. */
  readonly lines: readonly ClientLine[];
  /** The compactions that happened meanwhile. */
  readonly compactions: readonly CompactMetadata[];
}

/** How to start a client. */
export interface ClientOptions {
  /** How it reaches the API: `HTTPS_PROXY` and the like. */
  readonly road: Readonly<Record<string, string>>;
  readonly home: string;
  readonly cwd: string;
  readonly model?: string;
  /** More arguments, e.g. `--continue`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What is started in place of the client itself; it has to start that. */
  readonly command?: readonly [string, ...string[]];
}

/** Not the user's own key, whatever the environment holds: nothing checks it, and it must not get into a recording. */
export const API_KEY = 'sk-ant-dummy-key-for-loopback-tests';

const TURN_MS = 45_000;
const CONTROL_MS = 20_000;
const EXIT_MS = 10_000;

/** Clients that run now: none survives this process. */
const alive = new Set<ChildProcessWithoutNullStreams>();
process.on('exit', () => {
  for (const child of alive) kill(child);
});

/** Ends the client and what it started: it is the leader of a process group of its own. */
function kill(child: ChildProcessWithoutNullStreams): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}

interface Waiter {
  readonly from: number;
  readonly resolve: (turn: Turn) => void;
  readonly reject: (error: Error) => void;
}

export class ClaudeClient {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: ClientLine[] = [];
  readonly #exited: Promise<void>;
  readonly #controls = new Map<string, () => void>();
  #stderr = '';
  #waiter: Waiter | undefined;

  constructor(options: ClientOptions) {
    if (claude === null) throw new Error('CLAUDE_BIN is not set');
    const [program, ...first] = options.command ?? claude.command;
    const streams = ['--input-format', 'stream-json', '--output-format', 'stream-json', '--verbose'];
    const model = options.model ?? 'claude-sonnet-4-6';
    const rest = ['-p', ...streams, '--model', model, '--dangerously-skip-permissions', ...(options.args ?? [])];
    const { PATH, LANG, TERM } = process.env;
    this.#child = spawn(program, [...first, ...rest], {
      cwd: options.cwd,
      detached: true,
      env: {
        ...{ PATH, LANG, TERM, HOME: options.home, ANTHROPIC_API_KEY: API_KEY },
        IS_SANDBOX: '1', // or it refuses --dangerously-skip-permissions to root
        CLAUDE_CODE_TMPDIR: options.home, // gone with it, where /tmp would keep a folder for each session
        DISABLE_AUTOUPDATER: '1',
        CLAUDE_AUTOCOMPACT_PCT_OVERRIDE: '80',
        ...options.road,
        ...options.env,
      },
    });
    alive.add(this.#child);
    this.#child.stderr.on('data', (chunk: Buffer) => (this.#stderr += chunk.toString('utf8')));
    this.#child.stdin.on('error', () => undefined); // it shows as an exit
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#take(line));
    this.#exited = new Promise((resolve) => {
      this.#child.once('error', (error) => this.#over(`could not be started: ${error.message}`, resolve));
      this.#child.once('close', (code) => this.#over(`exited with ${code ?? 'a signal'}`, resolve));
    });
  }

  /** All lines so far. */
  get lines(): readonly ClientLine[] {
    return this.#lines;
  }

  /** The session's id, as the client prints it with every line. */
  get session(): string {
    const id = this.#lines.findLast((line) => typeof line['session_id'] === 'string')?.['session_id'];
    if (typeof id !== 'string') throw new Error('the client has not told its session id yet');
    return id;
  }

  /** Sends one user line (a prompt, or `/compact`) and waits for its `result`. */
  say(content: string, timeoutMs = TURN_MS): Promise<Turn> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.#fail(`no result within ${timeoutMs} ms for ${content.slice(0, 60)}`),
        timeoutMs,
      );
      this.#waiter = {
        from: this.#lines.length,
        resolve: (turn) => {
          clearTimeout(timer);
          resolve(turn);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.type(content);
    });
  }

  /** Sends a user line while a turn is under way, as somebody does who types meanwhile. */
  type(content: string): void {
    this.#send({ type: 'user', message: { role: 'user', content } });
  }

  /** Sends what the terminal has keys and menus for (`interrupt`, `set_model`, …); resolves when the client has done it. */
  control(request: { readonly subtype: string; readonly [field: string]: unknown }): Promise<void> {
    const id = randomUUID();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the client did not do ${request.subtype}`)), CONTROL_MS);
      this.#controls.set(id, () => {
        clearTimeout(timer);
        resolve();
      });
      this.#send({ type: 'control_request', request_id: id, request });
    });
  }

  /** Closes the input, which ends the client; one that does not end is killed, and that is an error. */
  async end(): Promise<void> {
    this.#child.stdin.end();
    const timer = setTimeout(() => kill(this.#child), EXIT_MS);
    await this.#exited;
    clearTimeout(timer);
    kill(this.#child); // what it may have left behind in its group
    if (this.#child.signalCode === 'SIGKILL') throw new Error(`the client did not end within ${EXIT_MS} ms`);
  }

  /** Ends the client at once, for the end of a test. */
  async kill(): Promise<void> {
    kill(this.#child);
    await this.#exited;
  }

  #send(line: object): void {
    this.#child.stdin.write(`${JSON.stringify(line)}\n`);
  }

  #take(text: string): void {
    let line: ClientLine;
    try {
      line = JSON.parse(text) as ClientLine;
    } catch {
      return; // older versions also print plain warnings
    }
    this.#lines.push(line);
    if (line.type === 'control_response') {
      const { request_id: id } = line['response'] as { readonly request_id: string };
      this.#controls.get(id)?.();
      this.#controls.delete(id);
    }
    if (line.type !== 'result') return;
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.resolve(turnOf(line, this.#lines.slice(waiter.from)));
  }

  #over(how: string, resolve: () => void): void {
    alive.delete(this.#child);
    this.#fail(how);
    resolve();
  }

  #fail(how: string): void {
    const recent = this.#lines.slice(-4).map((line) => JSON.stringify(line).slice(0, 300));
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.reject(new Error([`the client ${how}`, this.#stderr.slice(-1_000), ...recent].join('\n')));
  }
}

function turnOf(result: ClientLine, lines: readonly ClientLine[]): Turn {
  const boundaries = lines.filter((line) => line.type === 'system' && line.subtype === 'compact_boundary');
  return {
    text: typeof result['result'] === 'string' ? result['result'] : '',
    isError: result['is_error'] === true || (result.subtype !== undefined && result.subtype !== 'success'),
    lines,
    compactions: boundaries.map((line) => line['compact_metadata'] as CompactMetadata),
  };
}
