/** The suite bites: whatever it promises to notice is broken here on purpose, and it notices. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { expect } from 'chai';
import type { LogLine } from '../support/rig.ts';
import type { Pairs } from '../src/forwarder/http-bytes.ts';
import { API_HEADERS, ask, question } from '../src/forwarder/raw-client.ts';
import { PART_HEADER, REQUEST_HEADER, type Reply } from './client.ts';
import { judge } from './judge.ts';
import type { Part } from './part.ts';
import { explained } from './scenario.ts';
import { Chance, SEED } from './seed.ts';
import { Stage } from './stages.ts';

/** What a check complains of; '' when it is content. */
async function complaint(check: () => unknown): Promise<string> {
  try {
    await check();
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

describe('the fault suite notices', () => {
  let stage: Stage;
  let part: Part;
  beforeEach(async () => {
    stage = await Stage.open();
    part = stage.part('part');
    await part.open();
    stage.timeoutMs = 300;
  });
  afterEach(() => stage.close());

  /** The next answer is changed on its way; what the judge says of it. */
  async function tampered(change: (text: string) => string): Promise<string> {
    stage.tap.tamper = (bytes) => Buffer.from(change(bytes.toString('latin1')), 'latin1');
    const reply = await part.client.say();
    stage.tap.tamper = undefined;
    return complaint(() => part.judged(reply));
  }

  it('a byte that is another', async () => {
    expect(await tampered((text) => text.replace('goes on', 'goes in'))).to.match(/the body differs.*at byte \d+/);
  });

  it('an event that is missing', async () => {
    const ping = /[0-9a-f]+\r\nevent: ping\n[^\r]*\r\n/;
    expect(await tampered((text) => text.replace(ping, ''))).to.match(/the body differs|bytes of the API's body/);
  });

  it('another status, and a header that is missing', async () => {
    expect(await tampered((text) => text.replace('HTTP/1.1 200 OK', 'HTTP/1.1 201 OK'))).to.match(/^status/);
    expect(await tampered((text) => text.replace(/^request-id: .*\r\n/im, ''))).to.match(/^headers/);
  });

  it('a good answer in place of a broken one, and a broken one in place of a good one', async () => {
    part.order({ kind: 'status', status: 529 }, 'main');
    expect(await tampered((text) => text.replace('HTTP/1.1 529', 'HTTP/1.1 200'))).to.match(/^status/);
    const cut = await tampered((text) => text.replace(/\r\n0\r\n\r\n$/, '\r\nzz\r\n'));
    expect(cut).to.match(/complete as the API's answer|the body differs|bytes of the API/);
  });

  it('a request that was sent twice', async () => {
    const headers: Pairs = [...API_HEADERS, REQUEST_HEADER, 'twice', PART_HEADER, 'nobody'];
    const request = { method: 'POST', path: '/v1/messages', headers, body: JSON.stringify(question()) };
    for (const way of ['tunnel', 'direct'] as const) await ask(stage.rig, request, { way });
    const reply = await part.client.aside();
    expect(await complaint(() => judge({ ...reply, id: 'twice' }, stage.tap, 'part'))).to.match(/times that request/);
  });

  it('an error that does not say whose it is', async () => {
    const reply: Reply = { ...(await part.client.aside()), id: 'none', served: false, status: 502 };
    expect(await complaint(() => judge(reply, stage.tap, 'part'))).not.to.equal('');
    const ours = (message: string): Reply => ({
      ...reply,
      head: { line: 'HTTP/1.1 502 Bad Gateway', headers: ['content-type', 'application/json'] },
      body: Buffer.from(JSON.stringify({ type: 'error', error: { type: 'api_error', message } })),
    });
    expect(await complaint(() => judge(ours('claude-db-proxy: the API is gone'), stage.tap, 'part'))).to.equal('');
    expect(await complaint(() => judge(ours('something'), stage.tap, 'part'))).not.to.equal('');
  });

  it('the summary of somebody else', async () => {
    part.summarisedAs = 'neighbour';
    await part.checkpoint();
    expect(await complaint(() => part.compactFromCheckpoint())).to.match(/words of somebody else/);
  });

  it('a checkpoint that is lost', async () => {
    expect(await complaint(() => part.compactFromCheckpoint())).to.match(/the checkpoint was lost/);
  });

  it('an old summary in place of the newest', async () => {
    await part.checkpoint();
    part.pretendAnother();
    expect(await complaint(() => part.compactFromCheckpoint())).to.match(/the summary that was served/);
  });

  it('a socket, a timer, a request at the API that is left over', async () => {
    const socket = connect(stage.rig.proxy.ports.proxy, '127.0.0.1');
    await once(socket, 'connect');
    expect(await complaint(() => stage.lookOver([part]))).to.match(/sockets too many/);
    socket.destroy();
    const timers = Array.from({ length: 200 }, () => setInterval(() => undefined, 60_000));
    expect(await complaint(() => stage.lookOver([part]))).to.match(/timers too many/);
    timers.forEach(clearInterval);
    part.hold();
    await part.cross();
    part.keepsHolding = true;
    expect(await complaint(() => stage.lookOver([part]))).to.match(/still open at the API/);
    part.release();
    stage.timeoutMs = 5_000;
    expect(await complaint(() => stage.lookOver([part]))).to.equal('');
  });

  it('an error in the log', async () => {
    (stage.rig.log as LogLine[]).push({ level: 'warn', event: 'observer.failed', fields: {} });
    expect(await complaint(() => stage.lookOver([part]))).to.match(/defects in the log/);
  });

  it('nothing, when nothing is wrong', async () => {
    await part.checkpoint();
    await part.fill();
    await part.compactFromCheckpoint();
    await part.goOn();
    await stage.lookOver();
  });
});

describe('a failure of the fault suite', () => {
  it('tells the seed, the scenario and how to play it alone', () => {
    const error = explained(new Error('what happened'), 'IDLE × noise');
    expect((error as Error).message)
      .to.match(/^what happened/)
      .and.to.include(`DBPROXY_FAULTS_SEED=${SEED} npm run test:faults -- --fgrep "IDLE × noise"`);
  });

  it('can be played again: the same seed and name roll the same, others do not', () => {
    const rolls = (name: string, seed: number): string => {
      const chance = new Chance(name, seed);
      return Array.from({ length: 20 }, () => chance.int(0, 1_000)).join();
    };
    expect(rolls('one', 1)).to.equal(rolls('one', 1));
    expect(rolls('one', 1)).not.to.equal(rolls('one', 2));
    expect(rolls('one', 1)).not.to.equal(rolls('two', 1));
  });
});
