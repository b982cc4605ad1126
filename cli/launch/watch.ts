/**
 * Watches the proxy while `claude` runs, because a running `claude` cannot change its proxy address:
 *
 *   it died, or hangs        starts it again, on the same ports
 *   it was stopped on purpose, or cannot be started    fallback-redirector.ts listens on its port: no summaries, but connections work
 *   it is older than this version    replaces it as soon as it is idle
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
  /** Shows a message to the user; called once per message. */
  readonly notify: (message: string) => void;
}

/** Between two polls of the port: detection and a start of about a second must fit into two seconds. */
const POLL_MS = 300;
/** One health check per this many polls. */
const POLLS_PER_CHECK = 33;
const PROBE_MS = 1_000;
const CHECK_MS = 5_000;
/** A proxy that accepts connections but fails this many checks in a row counts as dead. */
const MAX_FAILED_CHECKS = 3;
const RESTART_MS = 20_000;
/** After a start that failed. */
const RETRY_DELAY_MS = 15_000;

/** True when a process accepts a connection. */
function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const timer = setTimeout(() => end(true), PROBE_MS); // a busy proxy is alive
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
  readonly #fallback: FallbackRedirector;
  readonly #stopping = new AbortController();
  #running: Running;
  #polls = 0;
  #failedChecks = 0;
  #nextStartAt = 0;
  readonly #notified = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#running = options.running;
    this.#ports = options.running.record.ports;
    this.#fallback = new FallbackRedirector(options.config, options.running.endpoint.address, this.#ports.proxy);
    this.#schedule();
  }

  stop(): void {
    this.#stopping.abort();
    clearTimeout(this.#timer);
    this.#fallback.stop();
  }

  #schedule(): void {
    if (this.#stopping.signal.aborted) return;
    this.#timer = setTimeout(() => {
      void this.#poll()
        .catch((error: unknown) => this.#notify(messageOf(error)))
        .then(() => this.#schedule());
    }, POLL_MS);
  }

  async #poll(): Promise<void> {
    const { layout } = this.#options;
    if (this.#fallback.isListening) {
      // A start of the proxy needs the port.
      if (isStartLocked(layout)) this.#fallback.stop();
      else if (!this.#wasStopped() && Date.now() >= this.#nextStartAt) await this.#restart();
      return;
    }
    if (!(await accepts(this.#running.endpoint.address, this.#ports.proxy))) {
      await this.#handleClosedPort();
      return;
    }
    this.#polls += 1;
    if (this.#polls % POLLS_PER_CHECK === 0) await this.#check();
  }

  /** No process listens on the port. */
  async #handleClosedPort(): Promise<void> {
    const { layout } = this.#options;
    if (isStartLocked(layout)) return; // it is being started, stopped or replaced
    if (this.#wasStopped()) await this.#useFallback('the proxy was stopped: claude goes to the API directly');
    else if (Date.now() >= this.#nextStartAt) await this.#restart();
    else await this.#useFallback('the proxy cannot be started again: claude goes to the API directly');
  }

  /** Health check: a proxy may listen without working. */
  async #check(): Promise<void> {
    const { address: host, port } = this.#running.endpoint;
    const check = await checkHealth(this.#options.layout, { host, port, timeoutMs: CHECK_MS });
    if (check.healthy) {
      this.#failedChecks = 0;
      const now = { ...this.#running, health: check.health };
      this.#running = await replaceIfOlder(this.#ensuring(), now);
      return;
    }
    this.#failedChecks += 1;
    if (this.#failedChecks < MAX_FAILED_CHECKS || this.#wasStopped()) return;
    this.#failedChecks = 0;
    await this.#restart();
  }

  async #restart(): Promise<void> {
    this.#fallback.stop();
    try {
      const running = await ensureRunning(this.#ensuring());
      if (running.record.ports.proxy === this.#ports.proxy) this.#running = running;
      else await this.#handleMovedProxy();
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#nextStartAt = Date.now() + RETRY_DELAY_MS;
      const reason = messageOf(error);
      await this.#useFallback(
        `the proxy died and cannot be started again (${reason}): claude goes to the API directly`,
      );
    }
  }

  /** The proxy has another port now, which this `claude` does not know. */
  async #handleMovedProxy(): Promise<void> {
    this.#nextStartAt = Infinity;
    const restart = 'start claude again to go through it';
    if (await this.#fallback.start()) {
      this.#notify(`the proxy has another port now: claude goes to the API directly; ${restart}`);
    } else this.#notify(`another process has taken the port of the proxy: claude reaches nothing any more; ${restart}`);
  }

  #ensuring() {
    const { config, layout, env } = this.#options;
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(RESTART_MS)]);
    return { config, layout, env, signal, ports: this.#ports };
  }

  async #useFallback(message: string): Promise<void> {
    if (await this.#fallback.start()) this.#notify(message);
  }

  #wasStopped(): boolean {
    return readRuntimeRecord(this.#options.layout)?.running === false;
  }

  #notify(message: string): void {
    if (this.#notified.has(message)) return;
    this.#notified.add(message);
    this.#options.notify(message);
  }
}
