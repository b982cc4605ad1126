/**
 * What the proxy runs in: a detached Node process (node.ts) or a container (container.ts). Same data directory, same
 * commands, same state in all; `runtimes.ts` chooses one. The seam between the commands and what they act on:
 *
 *   launcher, start, stop, status, logs, doctor ──▶ supervision.ts ──▶ Runtime ──▶ node | docker | podman
 *
 * supervision.ts does what all runtimes need: one start at a time, free ports, waiting until it is healthy, the
 * record in runtime.json. A runtime itself only starts, stops and looks. In a container it is `serve --no-record` that
 * runs: the record is about the host, whose ports and process ids it cannot know.
 */
import type { Config, Environment } from '../../src/config/config.ts';
import type { DataPaths, Ports, RuntimeName, RuntimeRecord } from '../installation.ts';

export type Availability =
  | { readonly usable: true }
  /** `reason`: one line, what is missing and what to do about it. */
  | { readonly usable: false; readonly reason: string };

export interface StartOptions {
  readonly layout: DataPaths;
  /** Ports on 127.0.0.1 that were free a moment ago. In a container they are published, and 8080/8443 used inside. */
  readonly ports: Ports;
  /**
   * The environment of whoever starts. What of it reaches the proxy: `DBPROXY_*` but ports, data directory and runtime,
   * and what the user's network needs on the way out: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` (either case) and
   * `NODE_EXTRA_CA_CERTS` (a file: mounted, for a container); `variablesForProxy` in environment.ts picks them.
   */
  readonly env: Environment;
  /** Aborts when nobody waits any more; what was started is then ended again. */
  readonly signal: AbortSignal;
}

/** What was started. */
export interface Started {
  readonly pid: number | null;
  readonly container: string | null;
  /**
   * Resolves when it has ended, which before it was ever healthy means that the start failed: `portTaken` when another
   * process holds one of the ports (the next ones are tried then), `message` is one line for people.
   */
  readonly ended: Promise<{ readonly portTaken: boolean; readonly message: string }>;
  /** No more waiting for `ended`: the caller goes its way, what was started stays. */
  release(): void;
}

/** What a runtime itself knows about what it runs, healthy or not. */
export interface RuntimeState {
  readonly running: boolean;
  /** E.g. `process 4711` or `container claude-db-proxy (podman)`, for people. */
  readonly where: string;
}

export interface Runtime {
  readonly name: RuntimeName;
  /** Whether it can be used on this machine, now. Bounded: 10 s at most. Never rejects. */
  isAvailable(): Promise<Availability>;
  /**
   * Starts the proxy and comes back once it is on its way, not once it is healthy: that is for the caller to find out.
   *
   * @throws RuntimeError when it cannot even be started
   */
  start(config: Config, options: StartOptions): Promise<Started>;
  /**
   * Stops what `record` names: asks it to drain, ends it by force after `graceMs`. Resolves when it is gone, also when it
   * was gone before; a process or container that is not ours by now (a recycled pid) is left alone.
   *
   * @throws RuntimeError when it cannot be stopped
   */
  stop(record: RuntimeRecord, options: { readonly layout: DataPaths; readonly graceMs: number }): Promise<void>;
  /** Looks whether what `record` names is there. Never rejects. */
  state(record: RuntimeRecord, layout: DataPaths): Promise<RuntimeState>;
  /**
   * Where its structured log is: a file, the same on all runtimes because the data directory is mounted.
   * What was said before there was a log (a setting that cannot be used, say) is in `layout.output`.
   */
  logFile(layout: DataPaths): string;
}
