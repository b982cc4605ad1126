/** The real client, started by `claude-db-proxy` as a user starts it: no variable leads to the proxy but the launcher's. */
import { chmodSync, mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { layoutOf, readRuntimeRecord, type DataPaths } from '../../../cli/installation.ts';
import { startSimulatedApi, type RecordedRequest, type SimulatedApi } from '../../../src/simulated-api/index.ts';
import { claude, describeWithClaude } from './claude.ts';
import { API_KEY, ClaudeClient, type Turn } from './client.ts';
import { kindOf, type Kind } from './requests.ts';
import { PAST_CHECKPOINT, PAST_SWAP, says, Script, type Reply } from './script.ts';

const MAIN = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url));
const TSX = createRequire(import.meta.url).resolve('tsx');
/** Past 60 % of the window, before 70 %. */
const PAST_SIXTY = 112_000;

/** A user's machine with the real client on its PATH. */
class Machine {
  readonly home = mkdtempSync(join(tmpdir(), 'dbproxy-launched-'));
  readonly script = new Script();
  readonly layout: DataPaths = layoutOf({ dataDir: join(this.home, 'data') });
  readonly #api: SimulatedApi;
  readonly #clients: ClaudeClient[] = [];

  constructor(api: SimulatedApi) {
    this.#api = api;
    const bin = join(this.home, 'bin');
    mkdirSync(bin);
    mkdirSync(join(this.home, 'project'));
    const quoted = (claude?.command ?? []).map((part) => `'${part}'`).join(' ');
    writeFileSync(join(bin, 'claude'), `#!/bin/sh\nexec ${quoted} "$@"\n`);
    chmodSync(join(bin, 'claude'), 0o755);
    const projects = { [join(this.home, 'project')]: { hasTrustDialogAccepted: true } };
    const responses = { approved: [API_KEY.slice(-20)], rejected: [] };
    const settled = { hasCompletedOnboarding: true, customApiKeyResponses: responses, projects };
    writeFileSync(join(this.home, '.claude.json'), JSON.stringify(settled));
  }

  launch(env: Readonly<Record<string, string>> = {}, args: readonly string[] = []): ClaudeClient {
    const road = {
      PATH: `${join(this.home, 'bin')}:${process.env['PATH'] ?? ''}`,
      DBPROXY_DATA_DIR: this.layout.dataDir,
      DBPROXY_PROXY_PORT: '0',
      DBPROXY_DASHBOARD_PORT: '0',
      DBPROXY_RUNTIME: 'node',
      DBPROXY_UPSTREAM_URL: this.#api.url,
      CLAUDE_AUTOCOMPACT_PCT_OVERRIDE: '',
      ...env,
    };
    const command = [process.execPath, '--import', TSX, MAIN] as const;
    const client = new ClaudeClient({ command, road, home: this.home, cwd: join(this.home, 'project'), args });
    this.#clients.push(client);
    return client;
  }

  async turn(client: ClaudeClient, prompt: string, ...replies: readonly Reply[]): Promise<Turn> {
    this.script.main.push(...replies);
    const turn = await client.say(prompt, 90_000);
    expect(turn.isError, turn.text).to.equal(false);
    return turn;
  }

  of(kind: Kind): readonly RecordedRequest[] {
    return this.#api.messages.filter((request) => kindOf(request) === kind);
  }

  /** Resolves when so many checkpoint calls have been answered. */
  async checkpointed(count: number): Promise<void> {
    await this.#api.waitFor(
      () => this.of('checkpoint').filter(({ outcome }) => outcome === 'answered').length >= count,
    );
  }

  get pid(): number {
    return readRuntimeRecord(this.layout)?.pid ?? 0;
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.kill()));
    if (this.pid > 1) {
      try {
        process.kill(this.pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    }
    rmSync(this.home, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}

describeWithClaude('the real client, launched by claude-db-proxy', function () {
  this.timeout(240_000);
  let machine: Machine;
  let api: SimulatedApi;
  beforeEach(async () => {
    api = await startSimulatedApi({ script: (call) => machine.script.answer(call) });
    machine = new Machine(api);
  });
  afterEach(async () => {
    await machine.close();
    await api.close();
  });

  it('compacts at once', async () => {
    const client = machine.launch();
    await machine.turn(client, 'PROMPT-ONE', says('ANSWER-ONE'));
    await machine.turn(client, 'PROMPT-TWO', says('ANSWER-TWO', PAST_CHECKPOINT));
    await machine.checkpointed(1);
    await machine.turn(client, 'PROMPT-THREE', says('ANSWER-THREE', PAST_SWAP));
    const turn = await machine.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR'));
    expect(turn.compactions.map(({ trigger }) => trigger)).to.deep.equal(['auto']);
    expect(machine.of('compaction'), 'the summary was here').to.have.length(0);
    await client.end();
  });

  it('goes on, and compacts at once, when the proxy is killed meanwhile', async () => {
    const client = machine.launch();
    await machine.turn(client, 'PROMPT-ONE', says('ANSWER-ONE'));
    const { pid } = machine;
    process.kill(pid, 'SIGKILL');
    await machine.turn(client, 'PROMPT-TWO', says('ANSWER-TWO', PAST_CHECKPOINT));
    expect(machine.pid, 'it was started again').not.to.equal(pid);
    await machine.checkpointed(1);
    await machine.turn(client, 'PROMPT-THREE', says('ANSWER-THREE', PAST_SWAP));
    const turn = await machine.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR'));
    expect(turn.compactions).to.have.length(1);
    expect(machine.of('compaction')).to.have.length(0);
    await client.end();
  });

  it('holds a threshold that was set for one launch, and tells the API nothing of it', async () => {
    const first = machine.launch();
    await machine.turn(first, 'PROMPT-ONE', says('ANSWER-ONE'));
    await machine.turn(first, 'PROMPT-TWO', says('ANSWER-TWO', PAST_SIXTY));
    expect(machine.of('checkpoint'), 'of the launch before').to.have.length(0);
    await first.end();
    const second = machine.launch({ DBPROXY_CHECKPOINT_THRESHOLD: '0.60' }, ['--continue']);
    await machine.turn(second, 'PROMPT-THREE', says('ANSWER-THREE', PAST_SIXTY));
    await machine.checkpointed(1);
    const headers = api.requests.map(({ rawHeaders }) => rawHeaders.join(' ')).join(' ');
    expect(headers).not.to.match(/x-dbproxy/i);
    await second.end();
  });
});
