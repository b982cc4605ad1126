import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { expect } from 'chai';
import { ask, messageRequest, RawClient, requestBytes } from '../src/forwarder/raw-client.ts';
import { quickRig } from '../src/forwarder/quick-rig.ts';
import { until } from '../src/redirector/sockets.ts';
import type { Rig } from '../support/rig.ts';

const CREDENTIALS = ['sk-ant-canary-key', 'sk-ant-oat01-canary-token', 'canary-cookie'];
const WORDS = [
  'canary-question',
  'canary-answer',
  'canary-system',
  'canary-tool',
  'canary-summary',
  'canary-instruction',
];
const LARGE = 150_000;

/** All files below a directory but the store, as text, and those of the store. */
function filesOf(directory: string, where: 'store' | 'elsewhere'): string[] {
  const store = join(directory, 'state') + sep;
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((path) => path.startsWith(store) === (where === 'store') && statSync(path).isFile())
    .map((path) => readFileSync(path, 'latin1'));
}

describe('credentials and words', () => {
  let rig: Rig;
  const answers: string[] = [];
  const snapshots: string[] = [];
  /** Events and snapshots that XState's inspection tells. */
  const inspected: string[] = [];

  const headers = [
    ...['authorization', `Bearer ${CREDENTIALS[1] ?? ''}`, 'x-api-key', CREDENTIALS[0] ?? ''],
    ...['cookie', `a=${CREDENTIALS[2] ?? ''}`],
  ];
  const request = (session: string, last: string, requestClass: string | null = 'main') => {
    const messages = [
      { role: 'user', content: 'canary-question' },
      { role: 'assistant', content: [{ type: 'tool_use', id: 't', name: 'canary-tool', input: {} }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't', content: 'canary-tool' }] },
      { role: 'assistant', content: 'canary-answer' },
      { role: 'user', content: last },
    ];
    const body = { model: 'claude-unknown-model', system: 'canary-system', messages, max_tokens: 32_000, stream: true };
    const asked = messageRequest(session, body, { requestClass, headers });
    return {
      ...asked,
      headers: (asked.headers ?? []).filter((_, at, all) => all[at - (at % 2)] !== 'x-api-key' || at > 6),
    };
  };

  /** A day in the life of a proxy: turns, checkpoints, failures, compactions, clients that leave. */
  before(async () => {
    rig = await quickRig();
    rig.proxy.supervisor.system.inspect((event) => {
      const told = 'event' in event ? event.event : null;
      const snapshot = 'snapshot' in event ? event.snapshot : null;
      inspected.push(JSON.stringify({ type: event.type, told, snapshot }));
    });
    rig.api.respondWith(({ isSummary }) =>
      isSummary
        ? { blocks: [{ type: 'text', text: '<summary>canary-summary</summary>' }] }
        : { promptTokens: LARGE, blocks: [{ type: 'text', text: 'canary-answer' }] },
    );
    const say = async (session: string, last: string, requestClass: string | null = 'main'): Promise<void> => {
      const answer = await ask(rig, request(session, last, requestClass));
      if (answer.status >= 400) answers.push(answer.text);
      snapshots.push(JSON.stringify(rig.proxy.supervisor.getPersistedSnapshot()));
    };
    await say('well', 'canary-question');
    await rig.logged('checkpoint.completed');
    await say(
      'well',
      'Your task is to create a detailed summary of the conversation so far: canary-instruction',
      'compaction',
    );
    await say('well', 'canary-question', null);
    for (const fault of [
      { kind: 'status', status: 401, message: 'no canary here' },
      { kind: 'disconnect', at: 'before_head' },
      { kind: 'garbage_http' },
      { kind: 'error_event', message: 'canary-answer' },
      { kind: 'disconnect', at: 'mid_stream' },
    ] as const) {
      rig.api.fault(fault);
      await say(`unlucky-${fault.kind}`, 'canary-question');
    }
    // Checkpoints that fail, one of them quoting what it was sent.
    const quoting = { kind: 'status', status: 400, message: `canary-question ${CREDENTIALS[0] ?? ''}` } as const;
    rig.api.fault(quoting, { when: { summary: true } });
    await ask(rig, { ...request('failing', 'canary-question of another') });
    await rig.logged('checkpoint.failed');
    await ask(rig, { method: 'POST', path: '/v1/messages', headers, body: '{"canary-question": ' });
    await ask(rig, { method: 'POST', path: '/v1/messages', host: 'canary.example', headers, body: '{}' });
    await ask(rig, { path: '/v1/nothing?key=canary-question', headers });
    const leaving = await RawClient.open(rig);
    leaving.write(requestBytes(request('leaving', 'canary-question')).subarray(0, 700));
    await until(() => leaving.socket.writableLength === 0);
    await leaving.close();
    snapshots.push(JSON.stringify(rig.proxy.supervisor.getPersistedSnapshot()));
  });
  after(() => rig.close());

  it('credentials are in no log line of any level', () => {
    const lines = rig.log.map((line) => JSON.stringify(line));
    expect(lines.length).to.be.above(10);
    for (const secret of CREDENTIALS) expect(lines.filter((line) => line.includes(secret))).to.deep.equal([]);
  });

  it('what was said is in no log line from INFO on', () => {
    const lines = rig.log.filter(({ level }) => level !== 'debug').map((line) => JSON.stringify(line));
    for (const word of WORDS) expect(lines.filter((line) => line.includes(word))).to.deep.equal([]);
  });

  it('neither is in the snapshots of the machines', () => {
    expect(snapshots.some((snapshot) => snapshot.includes('"well"'))).to.equal(true);
    for (const secret of [...CREDENTIALS, ...WORDS]) {
      expect(snapshots.filter((snapshot) => snapshot.includes(secret))).to.deep.equal([]);
    }
  });

  it('neither is in what inspection tells', () => {
    expect(inspected.some((event) => event.includes('turn.completed'))).to.equal(true);
    for (const secret of [...CREDENTIALS, ...WORDS]) {
      expect(inspected.filter((event) => event.includes(secret)).map((event) => event.slice(0, 300))).to.deep.equal([]);
    }
  });

  it('neither is in the data directory', () => {
    const files = filesOf(rig.dataDir, 'elsewhere');
    expect(files.length).to.be.above(3);
    for (const secret of [...CREDENTIALS, ...WORDS]) {
      expect(files.filter((file) => file.includes(secret))).to.deep.equal([]);
    }
  });

  it('the store holds the summary, which is what it is for, and nothing else of them', () => {
    const stored = filesOf(rig.dataDir, 'store').join();
    const found = [...CREDENTIALS, ...WORDS].filter((secret) => stored.includes(secret));
    expect(found).to.deep.equal(['canary-summary']);
  });

  it('credentials are in no error of ours, and ours quote nothing of the request', () => {
    const ours = answers.filter((answer) => answer.includes('claude-db-proxy:'));
    expect(ours.length).to.be.at.least(2);
    for (const secret of [...CREDENTIALS, ...WORDS]) {
      expect(ours.filter((answer) => answer.includes(secret))).to.deep.equal([]);
    }
  });

  it('credentials go to the API and nowhere else', () => {
    const turn = rig.api.messages[0];
    expect(turn?.headers).to.include({ 'x-api-key': CREDENTIALS[0], authorization: `Bearer ${CREDENTIALS[1] ?? ''}` });
  });
});
