/**
 * Where scenarios play that need the proxy as a process of its own: to be killed, to have its disk, its clock or its
 * limits taken away, to be measured. The simulated API and the tap are here, people at work talk through them.
 */
import { expect } from 'chai';
import { readdirSync, rmSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { startSimulatedApi, type SimulatedApi } from '../../src/simulated-api/index.ts';
import { newDataDir } from '../src/forwarder/quick-rig.ts';
import { PART_HEADER } from './client.ts';
import { figures } from './figures.ts';
import { eventually } from './handles.ts';
import type { Chance } from './seed.ts';
import { ServeChild, type ServeOptions } from './serve-child.ts';
import { openTap, type Tap } from './tap.ts';
import { Worker } from './working-session.ts';

export type ServeStageOptions = Partial<Omit<ServeOptions, 'upstream'>>;

/** Files and sockets that may come and go: a log or a database opened anew, `/health` asked. */
const SLACK_HANDLES = 12;
/** Code that was compiled meanwhile. */
const SLACK_BYTES = 3 * 1_024 * 1_024;

/** What was open and in use at a moment when nothing was going on. */
interface Rest {
  /** Connections to the API left out, which are kept for later for a while. */
  readonly handles: number;
  /** Bytes on the heap and beside it, after a collection. */
  readonly held: number;
  /**
   * Bytes of the machine's memory. After a burst that stays high for a while and never quite comes back, because V8 and
   * malloc keep what they once had; what is held is what tells a leak.
   */
  readonly resident: number;
}

const inMegabytes = (bytes: number): string => `${(bytes / 1_024 / 1_024).toFixed(1)} MB`;

export class ServeStage {
  readonly api: SimulatedApi;
  readonly tap: Tap;
  readonly child: ServeChild;
  readonly dataDir: string;
  /** What the workers have to put up with. */
  readonly interruptions = { kills: 0, givenUp: false };
  readonly #workers: Map<string, Worker>;
  readonly #chance: Chance;
  /** Log events of level `error` that the scenario means to cause. */
  readonly #meant = new Set<string>();

  private constructor(api: SimulatedApi, tap: Tap, child: ServeChild, workers: Map<string, Worker>, chance: Chance) {
    this.api = api;
    this.tap = tap;
    this.child = child;
    this.dataDir = child.options.dataDir;
    this.#workers = workers;
    this.#chance = chance;
    child.onLine = (line) => {
      if (line.event === 'checkpoint.completed') figures.checkpoints += 1;
      if (line.event === 'compaction.forwarded') figures.forwarded += 1;
      for (const worker of workers.values()) worker.take(line);
    };
  }

  /** Prepares it; the proxy is not started yet. */
  static async prepare(chance: Chance, options: ServeStageOptions = {}): Promise<ServeStage> {
    const workers = new Map<string, Worker>();
    const api = await startSimulatedApi({
      script: (call) => workers.get(call.request.headers[PART_HEADER]?.toString() ?? '')?.answer(call),
      record: 'heads',
    });
    const tap = await openTap(api.port);
    const dataDir = options.dataDir ?? (await newDataDir());
    return new ServeStage(api, tap, new ServeChild({ ...options, dataDir, upstream: tap.url }), workers, chance);
  }

  /** Prepares and starts it. */
  static async open(chance: Chance, options: ServeStageOptions = {}): Promise<ServeStage> {
    const stage = await ServeStage.prepare(chance, options);
    try {
      await stage.child.start();
    } catch (error) {
      await stage.close();
      throw error;
    }
    return stage;
  }

  get workers(): readonly Worker[] {
    return [...this.#workers.values()];
  }

  worker(name: string): Worker {
    const { child, interruptions, tap } = this;
    const worker = new Worker({ name, target: child, tap, chance: this.#chance, interruptions });
    this.#workers.set(name, worker);
    return worker;
  }

  /** Has done everything once that is made or loaded for the first of its kind. */
  async warmUp(): Promise<void> {
    const worker = this.worker('warm-up');
    await worker.checkpoint();
    await worker.fill();
    await worker.compact();
    await worker.talk();
    await worker.client.close();
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    this.interruptions.kills += 1;
    figures.kills += 1;
    figures.faults += 1;
    await this.child.kill();
  }

  /** Starts it again after its end. */
  async restart(env: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.child.start(env);
    figures.restarts += 1;
  }

  /** An event of level `error` that belongs to what is broken here. */
  means(event: string): void {
    this.#meant.add(event);
  }

  /** What is open and in use now, to be compared with later. */
  async rest(): Promise<Rest> {
    await this.child.loaded();
    const resident = this.child.memory;
    return { handles: this.#handles, resident, held: (await this.child.report()).heap };
  }

  get #handles(): number {
    return this.child.handles - this.tap.connections;
  }

  /**
   * The proxy is as it was at `rest`: it lives, its files and sockets are back, and it holds no more memory than what
   * `bytes` allows for what it remembers.
   */
  async expectBack(rest: Rest, bytes: number): Promise<void> {
    expect((await this.child.health())['status']).to.equal('ok');
    await eventually(
      () => this.#handles <= rest.handles + SLACK_HANDLES,
      () => `${this.#handles} open files, after ${rest.handles}`,
      10_000,
    );
    let { held } = await this.rest();
    const deadline = Date.now() + 10_000;
    while (held > rest.held + SLACK_BYTES + bytes) {
      if (Date.now() > deadline) {
        throw new Error(`${inMegabytes(held)} of memory are held, after ${inMegabytes(rest.held)}`);
      }
      await pause(250);
      held = (await this.rest()).held;
    }
  }

  /** Ends the proxy as a user does, and looks whether all was well. */
  async finish(): Promise<void> {
    for (const worker of this.#workers.values()) await worker.client.close();
    await this.child.kill('SIGTERM');
    expect(this.child.exitCode, `exit code after SIGTERM; stderr: ${this.child.stderr}`).to.equal(0);
    const errors = this.child.lines.filter(({ level, event }) => level === 'error' && !this.#meant.has(event));
    expect(errors, 'errors in the log').to.deep.equal([]);
    const litter = readdirSync(this.dataDir, { recursive: true })
      .map(String)
      .filter((name) => /\.(tmp|new|part)\b|~$/.test(name));
    expect(litter, 'files left behind').to.deep.equal([]);
  }

  /** Takes everything away, whatever happened. */
  async close(): Promise<void> {
    this.interruptions.givenUp = true;
    await this.child.close();
    await Promise.all(this.workers.map((worker) => worker.client.close()));
    await this.tap.close();
    await this.api.close();
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}

/** Plays on a stage that is taken away afterwards. */
export async function onServeStage(
  chance: Chance,
  options: ServeStageOptions,
  play: (stage: ServeStage) => Promise<void>,
): Promise<void> {
  const stage = await ServeStage.open(chance, options);
  try {
    await play(stage);
    await stage.finish();
  } finally {
    await stage.close();
  }
}
