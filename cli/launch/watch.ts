/**
 * Watches the proxy while `claude` runs, because `claude` cannot be told another address any more:
 *
 *   it died, or hangs        started again, on the same ports
 *   it was stopped on purpose, or cannot be started    fallback-redirector.ts on its port: no summaries, but nobody is cut off
 *   it is older than we are  replaced as soon as it is idle
 */
import { connect } from 'node:net';
import { messageOf } from '../../src/errors.ts';
import { checkHealth } from '../health-check.ts';
import { readRuntimeRecord, type Ports } from '../installation.ts';
import { ensureRunning, replaceIfOlder, type Running, type CliContext } from '../runtime/supervision.ts';
import { isStartLocked } from '../runtime/start-lock.ts';
import type { Environment } from '../../src/config/config.ts';
import { FallbackRedirector } from './fallback-redirector.ts';

export interface WatchOptions extends CliContext {
  readonly env: Environment;
  readonly running: Running;
  /** Hears once of each thing that the user should know. */
  readonly tell: (message: string) => void;
}

/** Between two looks at the port: a start takes about a second, and two are allowed for both. */
const LOOK_MS = 300;
/** Every so many looks, the whole question is asked. */
const LOOKS_PER_CHECK = 33;
const PROBE_MS = 1_000;
const CHECK_MS = 5_000;
/** A proxy that accepts connections and says nothing, so many checks in a row, is taken for dead. */
const MAX_SILENCE = 3;
const REVIVAL_MS = 20_000;
/** After a start that failed. */
const REST_MS = 15_000;

/** True when somebody accepts a connection. */
function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const timer = setTimeout(() => end(true), PROBE_MS); // busy is not dead
    const end = (accepted: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(accepted);
    };
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
}

/** Watches until the returned function is called. */
export function watch(options: WatchOptions): () => void {
  const watcher = new Watcher(options);
  return () => watcher.stop();
}

class Watcher {
  readonly #options: WatchOptions;
  readonly #ports: Ports;
  readonly #standIn: FallbackRedirector;
  readonly #stopping = new AbortController();
  #running: Running;
  #looks = 0;
  #silent = 0;
  #restUntil = 0;
  readonly #told = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#running = options.running;
    this.#ports = options.running.record.ports;
    this.#standIn = new FallbackRedirector(options.config, options.running.place.address, this.#ports.proxy);
    this.#next();
  }

  stop(): void {
    this.#stopping.abort();
    clearTimeout(this.#timer);
    this.#standIn.giveBack();
  }

  #next(): void {
    if (this.#stopping.signal.aborted) return;
    this.#timer = setTimeout(() => {
      void this.#look()
        .catch((error: unknown) => this.#tell(messageOf(error)))
        .then(() => this.#next());
    }, LOOK_MS);
  }

  async #look(): Promise<void> {
    const { layout } = this.#options;
    if (this.#standIn.up) {
      // Somebody starts a proxy, and wants the port.
      if (isStartLocked(layout)) this.#standIn.giveBack();
      else if (!this.#wasStopped() && Date.now() >= this.#restUntil) await this.#revive();
      return;
    }
    if (!(await accepts(this.#running.place.address, this.#ports.proxy))) {
      await this.#takeCare();
      return;
    }
    this.#looks += 1;
    if (this.#looks % LOOKS_PER_CHECK === 0) await this.#check();
  }

  /** Nobody listens. */
  async #takeCare(): Promise<void> {
    const { layout } = this.#options;
    if (isStartLocked(layout)) return; // it is being started, stopped or replaced
    if (this.#wasStopped()) await this.#standBy('the proxy was stopped: claude goes to the API directly');
    else if (Date.now() >= this.#restUntil) await this.#revive();
    else await this.#standBy('the proxy cannot be started again: claude goes to the API directly');
  }

  /** The whole question: a proxy may listen and be of no use. */
  async #check(): Promise<void> {
    const { address: host, port } = this.#running.place;
    const check = await checkHealth(this.#options.layout, { host, port, patienceMs: CHECK_MS });
    if (check.healthy) {
      this.#silent = 0;
      const now = { ...this.#running, health: check.health };
      this.#running = await replaceIfOlder(this.#ensuring(), now);
      return;
    }
    this.#silent += 1;
    if (this.#silent < MAX_SILENCE || this.#wasStopped()) return;
    this.#silent = 0;
    await this.#revive();
  }

  async #revive(): Promise<void> {
    this.#standIn.giveBack();
    try {
      const running = await ensureRunning(this.#ensuring());
      if (running.record.ports.proxy === this.#ports.proxy) this.#running = running;
      else await this.#leaveBehind();
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#restUntil = Date.now() + REST_MS;
      const reason = messageOf(error);
      await this.#standBy(`the proxy died and cannot be started again (${reason}): claude goes to the API directly`);
    }
  }

  /** The proxy is elsewhere now, where this `claude` cannot follow it. */
  async #leaveBehind(): Promise<void> {
    this.#restUntil = Infinity;
    const restart = 'start claude again to go through it';
    if (await this.#standIn.takeOver()) {
      this.#tell(`the proxy has another port now: claude goes to the API directly; ${restart}`);
    } else this.#tell(`another process has taken the port of the proxy: claude reaches nothing any more; ${restart}`);
  }

  #ensuring() {
    const { config, layout, env } = this.#options;
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(REVIVAL_MS)]);
    return { config, layout, env, signal, ports: this.#ports };
  }

  async #standBy(message: string): Promise<void> {
    if (await this.#standIn.takeOver()) this.#tell(message);
  }

  #wasStopped(): boolean {
    return readRuntimeRecord(this.#options.layout)?.running === false;
  }

  #tell(message: string): void {
    if (this.#told.has(message)) return;
    this.#told.add(message);
    this.#options.tell(message);
  }
}
