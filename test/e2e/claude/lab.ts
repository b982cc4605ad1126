/** One test's world: the simulated API with a script, the proxy in front of it, and real clients that share a home. */
import { expect } from 'chai';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Environment } from '../../../src/config/config.ts';
import type { Call, RecordedRequest, SimulatedApi, SimulatedApiOptions } from '../../../src/simulated-api/index.ts';
import { API_KEY, ClaudeClient, type ClientOptions, type Turn } from './client.ts';
import { openDirectRoad, type DirectRoad } from './direct-road.ts';
import { runProxyHere, runProxyProcess, type RunningProxy } from './proxies.ts';
import { describeRequest, kindOf, type Kind } from './requests.ts';
import { Script, type Reply } from './script.ts';

export interface LabOptions {
  /** Settings of the proxy. */
  readonly env?: Environment;
  /** Runs `claude-db-proxy serve` as a process of its own instead of the same code in this one. */
  readonly ownProcess?: boolean;
  readonly api?: SimulatedApiOptions;
}

/** What is left for a client that is started here to say. */
export type LabClientOptions = Partial<Omit<ClientOptions, 'home' | 'cwd'>>;

/** Time for a checkpoint call that is on its way. */
const CHECKPOINT_MS = 15_000;

export class Lab {
  readonly api: SimulatedApi;
  readonly script: Script;
  /** The clients' home, and their working directory below it. */
  readonly home: string;
  readonly project: string;
  readonly #proxy: RunningProxy;
  readonly #clients: ClaudeClient[] = [];
  #direct: DirectRoad | undefined;

  private constructor(proxy: RunningProxy, script: Script) {
    this.#proxy = proxy;
    this.api = proxy.api;
    this.script = script;
    this.home = mkdtempSync(join(tmpdir(), 'dbproxy-claude-'));
    this.project = join(this.home, 'project');
    mkdirSync(this.project);
    writeFileSync(join(this.project, 'notes.txt'), 'NOTES-LINE the first line of the notes\n');
    writeFileSync(join(this.home, '.claude.json'), JSON.stringify(settledHome(this.project)));
  }

  static async start(options: LabOptions = {}): Promise<Lab> {
    const script = new Script();
    const run = options.ownProcess === true ? runProxyProcess : runProxyHere;
    const proxy = await run(options.env ?? {}, { script: (call: Call) => script.answer(call), ...options.api });
    return new Lab(proxy, script);
  }

  /** How a client reaches the API through the proxy. */
  get road(): Readonly<Record<string, string>> {
    return { HTTPS_PROXY: `http://127.0.0.1:${this.#proxy.port}`, NODE_EXTRA_CA_CERTS: this.#proxy.caPath };
  }

  /** The convenience road: the API's address in place of the proxy's, TLS to the forwarder itself. */
  get baseUrlRoad(): Readonly<Record<string, string>> {
    const { caPath, dashboardPort } = this.#proxy;
    return { ANTHROPIC_BASE_URL: `https://localhost:${dashboardPort}`, NODE_EXTRA_CA_CERTS: caPath };
  }

  /** The way past the proxy, to an API that the client takes for the real one. */
  async directRoad(): Promise<Readonly<Record<string, string>>> {
    const { caPath } = this.#proxy;
    this.#direct ??= await openDirectRoad(this.api.port, caPath);
    return { HTTPS_PROXY: `http://127.0.0.1:${this.#direct.port}`, NODE_EXTRA_CA_CERTS: caPath };
  }

  /** Starts a client; all clients of a lab have one home and one project, so that one can resume another's session. */
  client(options: LabClientOptions = {}): ClaudeClient {
    const client = new ClaudeClient({ road: this.road, home: this.home, cwd: this.project, ...options });
    this.#clients.push(client);
    return client;
  }

  /**
   * One turn that has to go well: says `prompt`, answers the main conversation's requests with `replies`, one each.
   * Fails when the client reports an error, or when it asked more or less often than that.
   */
  async turn(client: ClaudeClient, prompt: string, ...replies: readonly Reply[]): Promise<Turn> {
    this.script.main.push(...replies);
    const turn = await client.say(prompt);
    expect(turn.isError, `an error after ${JSON.stringify(prompt)}: ${turn.text}`).to.equal(false);
    expect(this.script.main, 'answers that were not asked for').to.have.length(0);
    expect(this.script.surplus, 'requests that had no answer').to.equal(0);
    return turn;
  }

  /** The proxy has noted its checkpoint: that the API has answered the call is a moment before. Needs `ownProcess`. */
  checkpointNoted(): Promise<void> {
    return this.#proxy.checkpointCompleted();
  }

  /** `kill -9` of the proxy, and a new start on the same ports and data directory. Needs `ownProcess`. */
  killProxy(): Promise<void> {
    return this.#proxy.killAndStartAgain();
  }

  /** Requests of one kind, oldest first. */
  of(kind: Kind): readonly RecordedRequest[] {
    return this.api.messages.filter((request) => kindOf(request) === kind);
  }

  /** The newest request of a kind; fails where there is none. */
  newest(kind: Kind): RecordedRequest {
    const request = this.of(kind).at(-1);
    if (request === undefined) throw new Error(`no ${kind} request reached the API\n${this.overview()}`);
    return request;
  }

  /** Resolves with the `count`-th checkpoint call as soon as it has been answered well. */
  async checkpointed(count = 1): Promise<RecordedRequest> {
    const done = (request: RecordedRequest): boolean => request.outcome === 'answered' && request.status === 200;
    await this.api
      .waitFor(() => this.of('checkpoint').filter(done).length >= count, CHECKPOINT_MS)
      .catch(() => {
        throw new Error(`no checkpoint number ${count}\n${this.overview()}`);
      });
    const checkpoint = this.of('checkpoint').filter(done)[count - 1];
    if (checkpoint === undefined) throw new Error(`no checkpoint number ${count}`);
    return checkpoint;
  }

  /** What reached the API, a line each. */
  overview(): string {
    return this.api.messages.map(describeRequest).join('\n');
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.kill()));
    await this.#direct?.close();
    await this.#proxy.stop();
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** A home that is past the client's first-run questions. */
function settledHome(project: string): object {
  return {
    hasCompletedOnboarding: true,
    theme: 'dark',
    customApiKeyResponses: { approved: [API_KEY.slice(-20)], rejected: [] },
    projects: { [project]: { hasTrustDialogAccepted: true, hasCompletedProjectOnboarding: true } },
  };
}

/** For a suite: starts labs, and closes them after each test; a failed one shows what reached the API. */
export function labs(): (options?: LabOptions) => Promise<Lab> {
  let open: Lab[] = [];
  afterEach(async function () {
    const closing = open;
    open = [];
    if (this.currentTest?.state === 'failed') {
      for (const lab of closing) process.stdout.write(`${lab.overview().replace(/^/gm, '        ')}\n`);
    }
    await Promise.all(closing.map((lab) => lab.close()));
  });
  return async (options) => {
    const lab = await Lab.start(options);
    open.push(lab);
    return lab;
  };
}
