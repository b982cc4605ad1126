/**
 * Where the scenarios play: a simulated API that misbehaves on command, the tap in front of it, a whole proxy in this
 * process, and parts (clients with a conversation each) that share them. After each scenario the stage is looked over:
 * sockets, timers, log lines, what is left at the API.
 *
 *   part (client) ──tunnel, TLS──▶ proxy ──▶ tap ──▶ simulated API
 */
import { expect } from 'chai';
import type { Environment } from '../../src/config/config.ts';
import { startSimulatedApi, type Call, type SimulatedApi } from '../../src/simulated-api/index.ts';
import { quickRig } from '../src/forwarder/quick-rig.ts';
import type { LogLine, Rig } from '../support/rig.ts';
import { PART_HEADER } from './client.ts';
import { figures } from './figures.ts';
import { eventually, handles, type Handles } from './handles.ts';
import { Part } from './part.ts';
import { openTap, type Tap } from './tap.ts';

/** What would be a defect whatever was broken on purpose. */
const DEFECTS =
  /^(process|conversation|observer|request|compaction|supervisor|redirector|forwarder)\.(uncaught|failed)$/;

/** Connections to the API that the proxy may keep for later, at most. */
const POOLED = 8;
/** Ends of a pooled connection in this process: proxy and tap, tap and API. */
const ENDS = 4;

const stages = new Set<Stage>();

/** Closes what is open at the end of the run. */
export async function closeStages(): Promise<void> {
  await Promise.all([...stages].map((stage) => stage.close()));
}

export class Stage {
  readonly api: SimulatedApi;
  readonly tap: Tap;
  readonly rig: Rig;
  /** How long {@link lookOver} waits for what ends by itself. */
  timeoutMs = 5_000;
  readonly #parts: Map<string, Part>;
  #resting: Handles = { sockets: 0, servers: 0, timers: 0 };
  #lines = 0;

  private constructor(api: SimulatedApi, tap: Tap, rig: Rig, parts: Map<string, Part>) {
    this.api = api;
    this.tap = tap;
    this.rig = rig;
    this.#parts = parts;
  }

  /** Opens a stage. `env` are settings of the proxy. */
  static async open(env: Environment = {}): Promise<Stage> {
    const parts = new Map<string, Part>();
    const partOf = (call: Call): Part | undefined => parts.get(call.request.headers[PART_HEADER]?.toString() ?? '');
    const api = await startSimulatedApi({ script: (call) => partOf(call)?.answer(call) });
    const tap = await openTap(api.port);
    const rig = await quickRig({ DBPROXY_UPSTREAM_URL: tap.url, DBPROXY_COMPACTION_WAIT: '500ms', ...env });
    const stage = new Stage(api, tap, rig, parts);
    stages.add(stage);
    stage.#resting = handles();
    return stage;
  }

  /** A new conversation. */
  part(name: string): Part {
    const part = new Part(name, this);
    this.#parts.set(name, part);
    return part;
  }

  /** Log lines about one conversation since the last look-over, newest last. */
  told(session: string, event: string): readonly LogLine[] {
    return this.rig.log
      .slice(this.#lines)
      .filter((line) => line.event === event && line.fields['conversation'] === session);
  }

  /**
   * After a scenario: everything is as it was before it, but for the conversations that are remembered.
   *
   * @param staying parts that go on after this scenario, on new connections
   */
  async lookOver(staying: readonly Part[] = []): Promise<void> {
    for (const part of this.#parts.values()) await part.leave();
    await this.#allAnswered();
    await eventually(
      () => this.#leftOver() === '',
      () => this.#leftOver(),
      this.timeoutMs,
    );
    const lines = this.rig.log.slice(this.#lines);
    this.#lines = this.rig.log.length;
    const defects = lines.filter(({ level, event }) => level === 'error' || DEFECTS.test(event));
    expect(defects, 'defects in the log').to.deep.equal([]);
    figures.faults += this.api.requests.reduce((sum, request) => sum + request.faults.length, 0);
    figures.checkpoints += lines.filter(({ event }) => event === 'checkpoint.completed').length;
    figures.forwarded += lines.filter(({ event }) => event === 'compaction.forwarded').length;
    this.#parts.clear();
    for (const part of staying) this.#parts.set(part.name, part);
    this.api.reset();
    this.tap.forget();
  }

  async close(): Promise<void> {
    if (!stages.delete(this)) return;
    await this.rig.close();
    await this.tap.close();
    await this.api.close();
  }

  async #allAnswered(): Promise<void> {
    const open = (): string[] =>
      this.api.requests.filter(({ outcome }) => outcome === 'open').map(({ url, faults }) => `${url} ${faults.join()}`);
    await eventually(
      () => open().length === 0,
      () => `requests are still open at the API: ${open().join(', ')}`,
      this.timeoutMs,
    );
  }

  /** What is there that should not be; '' when all is well. */
  #leftOver(): string {
    const { connections } = this.tap;
    const now = handles();
    const sockets = now.sockets - this.#resting.sockets - ENDS * connections;
    // Each conversation has its idle timer, each pooled connection its own; one is of whoever waits here.
    const timers =
      now.timers - this.#resting.timers - this.rig.proxy.conversations.actors.size - ENDS * connections - 2;
    return [
      ...(connections > POOLED ? [`${connections} connections to the API`] : []),
      ...(sockets > 0 ? [`${sockets} sockets too many`] : []),
      ...(now.servers > this.#resting.servers ? ['a server too many'] : []),
      ...(timers > 0 ? [`${timers} timers too many`] : []),
    ].join(', ');
  }
}
