/** A real `serve`, fed with canaries, and everything it ever wrote or answered: nothing of them got anywhere but upstream. */
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { expect } from 'chai';
import { startSimulatedApi, type SimulatedApi } from '../../src/simulated-api/index.ts';
import { Child } from '../cli/child.ts';
import { ask, messageRequest, RawClient, requestBytes, type Answer, type Target } from '../src/forwarder/raw-client.ts';
import { newDataDir } from '../src/forwarder/quick-rig.ts';
import { exchange, until } from '../src/redirector/sockets.ts';

const KEYS = ['sk-ant-canary-key-51', 'sk-ant-oat01-canary-bearer-52', 'canary-cookie-53', 'canary-proxy-login-54'];
const SENTENCE = 'The canary sings of bread and salt.';
const SUMMARY = 'The canary summary, which only the store may hold.';
const LARGE = 150_000;

const HEADERS = ['authorization', `Bearer ${KEYS[1] ?? ''}`, 'cookie', `session=${KEYS[2] ?? ''}`];

interface File {
  readonly path: string;
  readonly text: string;
}

/** All files below a directory. */
function filesOf(directory: string): File[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => ({ path, text: readFileSync(path, 'latin1') }));
}

/** A text in the forms in which it could be written down. */
const formsOf = (text: string): string[] => [
  text,
  JSON.stringify(text).slice(1, -1),
  Buffer.from(text).toString('base64').replace(/=+$/, '').slice(0, -1),
  Buffer.from(text).toString('hex'),
  encodeURIComponent(text),
];

describe('what a proxy is told', function () {
  this.timeout(60_000);
  let api: SimulatedApi;
  let child: Child;
  let dataDir: string;
  let token: string;
  const ownPages: string[] = [];
  let files: readonly File[];

  /** One request in the name of a session, with all the keys. */
  const turn = (session: string, messages: readonly unknown[], requestClass: string | null = 'main') => {
    const body = { model: 'claude-sonnet-4-6', system: SENTENCE, messages, max_tokens: 32_000, stream: true };
    const request = messageRequest(session, body, { requestClass, headers: HEADERS });
    const headers = (request.headers ?? []).map((value) => (value === 'sk-ant-raw-client' ? (KEYS[0] ?? '') : value));
    return { ...request, headers };
  };
  const said = (...texts: string[]): unknown[] =>
    texts.map((content, at) => ({ role: at % 2 === 0 ? 'user' : 'assistant', content }));

  async function ours(target: Target, path: string, headers: string[] = [], host = 'localhost'): Promise<Answer> {
    const answer = await ask(target, { path, host, headers }, { servername: 'localhost' });
    ownPages.push(answer.line, answer.headers.join('\n'), answer.text);
    return answer;
  }

  before(async () => {
    api = await startSimulatedApi();
    dataDir = await newDataDir();
    api.respondWith(({ isSummary }) =>
      isSummary
        ? { blocks: [{ type: 'text', text: `<summary>${SUMMARY}</summary>` }] }
        : { promptTokens: LARGE, blocks: [{ type: 'text', text: SENTENCE }] },
    );
    child = new Child(['serve'], {
      DBPROXY_PROXY_PORT: '0',
      DBPROXY_DASHBOARD_PORT: '0',
      DBPROXY_DATA_DIR: dataDir,
      DBPROXY_UPSTREAM_URL: api.url,
      DBPROXY_LOG_LEVEL: 'DEBUG',
      DBPROXY_COMPACTION_WAIT: '2s',
    });
    const started = await child.logged('proxy.started');
    const port = (url: unknown): number => Number(/:(\d+)$/.exec(String(url))?.[1]);
    const ports = { proxy: port(started['https_proxy']), dashboard: port(started['dashboard']) };
    const target: Target = { proxy: { ports }, ca: readFileSync(String(started['ca']), 'utf8') };
    token = readFileSync(join(dataDir, 'token'), 'utf8').trim();
    const logged = (event: string, session: string): Promise<void> =>
      until(() => child.lines.some((line) => line['event'] === event && line['conversation'] === session));

    // A checkpoint, a compaction that it answers, and on from there.
    await ask(target, turn('well', said(SENTENCE)), { way: 'tunnel' });
    await logged('checkpoint.completed', 'well');
    const instruction = `Your task is to create a detailed summary of the conversation so far. ${SENTENCE}`;
    const compaction = turn('well', said(SENTENCE, SENTENCE, instruction), 'compaction');
    const served = await ask(target, compaction, { way: 'tunnel' });
    expect(served.header('x-double-buffer-served')).to.equal('checkpoint');
    expect(served.text).to.include(SUMMARY);
    await ask(target, turn('well', said(served.text, SENTENCE, SENTENCE), null));
    // Failures of the API, before and in the midst of an answer; some quote what they were sent.
    for (const fault of [
      { kind: 'status', status: 401, message: `${SENTENCE} ${KEYS.join(' ')}` },
      { kind: 'disconnect', at: 'before_head' },
      { kind: 'disconnect', at: 'mid_stream' },
      { kind: 'garbage_http' },
      { kind: 'error_event', message: SENTENCE },
    ] as const) {
      for (const requestClass of ['main', 'compaction']) {
        api.fault(fault);
        await ask(target, turn(`bad-${fault.kind}`, said(`${SENTENCE} ${fault.kind}`), requestClass)).catch(() => null);
      }
    }
    // Checkpoint calls that fail.
    for (const fault of [
      { kind: 'status', status: 400, message: `${SENTENCE} ${KEYS.join(' ')}` },
      { kind: 'error_event', message: `${SENTENCE} ${KEYS.join(' ')}` },
    ] as const) {
      api.fault(fault, { when: { summary: true } });
      await ask(target, turn(`unsummed-${fault.kind}`, said(`${fault.kind}: ${SENTENCE}`)));
      await logged('checkpoint.failed', `unsummed-${fault.kind}`);
    }
    // Requests that nobody can read, clients that leave, tunnels that are refused.
    await ask(target, { method: 'POST', path: '/v1/messages', headers: HEADERS, body: `{"${SENTENCE}": ` });
    await ask(target, { method: 'POST', path: '/v1/messages', host: 'evil.example', headers: HEADERS, body: SENTENCE });
    const leaving = await RawClient.open(target);
    leaving.write(requestBytes(turn('leaving', said(SENTENCE))).subarray(0, 800));
    await until(() => leaving.socket.writableLength === 0);
    await leaving.close();
    const login = `Proxy-Authorization: Basic ${KEYS[3] ?? ''}\r\n\r\n`;
    await exchange(ports.proxy, `CONNECT localhost:${ports.proxy} HTTP/1.1\r\nHost: x\r\n${login}`);
    await exchange(ports.proxy, `GET http://x/${KEYS[3] ?? ''} HTTP/1.1\r\nHost: x\r\n${login}`);
    await exchange(ports.proxy, `CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n${login}`);
    // Our own pages, asked with everything.
    for (const path of ['/health', '/dashboard', '/nothing', `/dashboard?token=${KEYS[0] ?? ''}`, '/dashboard/%ff']) {
      for (const accept of ['text/html', 'application/json']) {
        await ours(target, `${path}${path.includes('?') ? '&' : '?'}q=1`, [...HEADERS, 'accept', accept]);
        await ours(target, path, ['authorization', `Bearer ${token}`, 'cookie', `x=${KEYS[2] ?? ''}`]);
      }
    }
    await ours(target, '/health', HEADERS, 'evil.example');
    expect((await ours(target, `/dashboard?token=${token}`)).status).to.equal(303);
    child.kill('SIGTERM');
    expect((await child.ended).code).to.equal(0);
    files = filesOf(dataDir);
  });
  after(async () => {
    child.kill('SIGKILL');
    await child.ended;
    await api.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  /** Every place outside the files: by name. */
  const places = (): readonly (readonly [name: string, text: string])[] => [
    ['stdout', child.stdout],
    ['stderr', child.stderr],
    ['its own pages', ownPages.join('\n')],
    ...files.map(({ path, text }) => [path, text] as const),
  ];
  const placesWith = (secret: string): string[] =>
    places().flatMap(([name, text]) => (formsOf(secret).some((form) => text.includes(form)) ? [name] : []));

  it('was told: the API has seen all of it, and the log is at its most talkative', () => {
    const seen = api.messages.map(({ rawHeaders, body }) => rawHeaders.join('\n') + body.toString()).join('\n');
    for (const secret of [...KEYS.slice(0, 3), SENTENCE]) expect(seen).to.include(secret);
    expect(child.stdout)
      .to.include('"level":"debug"')
      .and.to.include('checkpoint.failed')
      .and.to.include('upstream.failed');
    expect(files.map(({ path }) => path.slice(dataDir.length + 1))).to.include.members(['token', 'logs/dbproxy.jsonl']);
    expect(ownPages.join('\n')).to.include('"status":"ok"').and.to.include('claude-db-proxy dashboard');
  });

  for (const key of KEYS) {
    it(`keeps ${key} to itself`, () => expect(placesWith(key)).to.deep.equal([]));
  }
  it('keeps what was said to itself', () => expect(placesWith(SENTENCE)).to.deep.equal([]));
  it('keeps the summary in its store, if anywhere', () => {
    const state = join(dataDir, 'state') + sep;
    expect(placesWith(SUMMARY).filter((name) => !name.startsWith(state))).to.deep.equal([]);
  });
  it('keeps its own token in its file', () => expect(placesWith(token)).to.deep.equal([join(dataDir, 'token')]));
});
