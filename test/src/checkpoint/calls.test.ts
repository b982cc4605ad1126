import { expect } from 'chai';
import { createActor, SimulatedClock } from 'xstate';
import { breakerMachine } from '../../../machines/breaker.ts';
import { checkpointId, conversationId, timestamp, tokens, turnId } from '../../../machines/units.ts';
import { ByteBudget } from '../../../src/net/byte-budget.ts';
import { CheckpointGate } from '../../../src/checkpoint/gate.ts';
import { CheckpointCalls } from '../../../src/checkpoint/calls.ts';
import { CheckpointIndex } from '../../../src/checkpoint/index.ts';
import { CheckpointError } from '../../../src/errors.ts';
import { noSubscriber } from '../../../src/facts.ts';
import { silentLog } from '../../../src/log.ts';
import type { HttpClient, HttpCallEvents } from '../../../src/upstream/http-client.ts';
import { lineageOf, fullPrefix } from '../../../src/wire/lineage.ts';
import type { Message } from '../../../src/wire/message-request.ts';
import { requestBody } from '../../support/histories.ts';

const ONE = conversationId('one');
const TWO = conversationId('two');
const user = (content: string): Message => ({ role: 'user', content });
const HELLO = [user('hello')];

describe('checkpoint calls', () => {
  const index = new CheckpointIndex();
  let raised: HttpCallEvents[];
  let calls: CheckpointCalls;
  let gate: CheckpointGate;
  let budget: ByteBudget;
  beforeEach(() => {
    raised = [];
    const upstream: HttpClient = {
      origin: 'http://nowhere',
      send(_, events) {
        raised.push(events);
        return { abort: () => undefined, resume: () => undefined };
      },
      close: () => Promise.resolve(),
    };
    const now = () => timestamp(5);
    const breaker = createActor(breakerMachine, { clock: new SimulatedClock() }).start();
    gate = new CheckpointGate({ limit: 2, now, breaker: () => breaker });
    budget = new ByteBudget({ limit: 2_000, log: silentLog });
    calls = new CheckpointCalls({
      upstream,
      gate,
      index,
      budget,
      now,
      monotonicNow: now,
      publish: noSubscriber,
    });
  });

  const keep = (messages: readonly Message[], conversation = ONE, body = requestBody(messages)): void =>
    calls.keep(conversation, {
      path: '/v1/messages',
      headers: [],
      body,
      model: 'm',
      prefix: fullPrefix(lineageOf(messages)),
      used: tokens(130_000),
      freeTokens: 50_000,
    });
  const compute = (conversation = ONE, signal = new AbortController().signal) =>
    calls.compute({ conversation, turn: turnId(1), attempt: 1, replaces: null }, signal);
  const answer = (summary: string): void => {
    const events = raised.at(-1);
    events?.onHead(200, 'OK', []);
    for (const event of [
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: summary } },
      { type: 'message_stop' },
    ]) {
      events?.onData(Buffer.from(`data: ${JSON.stringify(event)}\n\n`));
    }
    events?.onEnd([]);
  };
  const failure = async (work: Promise<unknown>): Promise<unknown> => {
    try {
      return await work;
    } catch (error) {
      return error;
    }
  };

  it('add the checkpoint to the index, under the prefix that it summarises', async () => {
    keep(HELLO);
    const work = compute();
    answer('it');
    const { id, anchorMessages, anchorTokens } = await work;
    const covering = index.find(lineageOf([...HELLO, user('more')]), timestamp(5));
    expect(covering?.checkpoint).to.include({ id, summary: 'it', conversation: ONE, model: 'm', createdAt: 5 });
    expect([anchorMessages, anchorTokens]).to.deep.equal([1, 130_000]);
    expect(checkpointId(id)).to.match(/^[\w-]{36}$/);
  });

  it('reserve memory for the requests that they keep, and are skipped when there is none', async () => {
    const bytes = (size: number): Buffer => Buffer.alloc(size);
    keep(HELLO, ONE, bytes(1_500));
    expect(budget.used).to.equal(1_500);
    keep(HELLO, ONE, bytes(1_000));
    expect(budget.used).to.equal(1_000);
    keep(HELLO, TWO, bytes(1_001));
    expect([calls.hasRequest(TWO), budget.used]).to.deep.equal([false, 1_000]);
    expect(await failure(compute(TWO))).to.include({ failure: 'skipped' });
    expect(raised).to.have.length(0);
    calls.release(TWO);
    expect(await failure(compute(TWO))).to.include({ failure: 'rejected' });
    calls.forget(ONE);
    calls.release(ONE);
    expect(budget.used).to.equal(0);
    keep(HELLO, TWO, bytes(1_001));
    expect(calls.hasRequest(TWO)).to.equal(true);
  });

  it('are rejected without a request', async () => {
    expect(await failure(compute()))
      .to.be.instanceOf(CheckpointError)
      .and.to.include({ failure: 'rejected' });
    keep(HELLO);
    calls.release(ONE);
    expect(await failure(compute())).to.include({ failure: 'rejected' });
    expect(raised).to.have.length(0);
  });

  it('are rejected for a body that is no request', async () => {
    keep(HELLO, ONE, Buffer.from('hello'));
    expect(await failure(compute())).to.include({ failure: 'rejected' });
    expect(calls.size).to.equal(0);
  });

  it('add no checkpoint when they were aborted before the answer', async () => {
    const before = index.size;
    keep([user('aborted')]);
    const controller = new AbortController();
    const work = compute(ONE, controller.signal);
    controller.abort();
    answer('late');
    expect(await failure(work)).to.be.instanceOf(Error);
    expect(index.size).to.equal(before);
    expect(calls.size).to.equal(0);
  });

  it('add no checkpoint when they are aborted right after the answer', async () => {
    const before = index.size;
    keep([user('at the last moment')]);
    const controller = new AbortController();
    const work = compute(ONE, controller.signal);
    answer('late');
    controller.abort();
    expect(await failure(work)).to.be.instanceOf(Error);
    expect(index.size).to.equal(before);
  });

  it('are counted while they run', async () => {
    keep(HELLO);
    keep(HELLO, TWO);
    const [first, second] = [compute(ONE), compute(TWO)];
    expect(calls.size).to.equal(2);
    answer('two');
    await second;
    expect(calls.size).to.equal(1);
    raised[0]?.onHead(500, 'x', []);
    raised[0]?.onEnd([]);
    expect(await failure(first)).to.include({ failure: 'transient' });
    expect(calls.size).to.equal(0);
  });

  it('have state for a conversation while they run, and while a request is kept for the next call', async () => {
    expect(calls.hasStateFor(ONE)).to.equal(false);
    keep(HELLO);
    expect(calls.hasStateFor(ONE)).to.equal(true);
    const work = compute();
    calls.release(ONE);
    expect(calls.hasStateFor(ONE)).to.equal(true);
    answer('x');
    await work;
    expect(calls.hasStateFor(ONE)).to.equal(false);
  });

  it('match a history that begins with what they summarise', async () => {
    const other = lineageOf([user('other')]);
    expect(calls.matchesCall(ONE, other), 'no call').to.equal(true);
    keep(HELLO);
    expect(calls.matchesCall(ONE, other), 'waiting').to.equal(false);
    const work = compute();
    keep([user('other')]);
    expect(calls.matchesCall(ONE, other), 'running').to.equal(false);
    expect(calls.matchesCall(ONE, lineageOf([...HELLO, user('more')]))).to.equal(true);
    expect(calls.matchesCall(TWO, other)).to.equal(true);
    answer('x');
    await work;
    expect(calls.matchesCall(ONE, other), 'ended, with a newer request kept').to.equal(true);
  });

  it('have state for a conversation after they failed, also when the retry is aborted, until they are forgotten', async () => {
    keep(HELLO);
    const failed = failure(compute());
    raised[0]?.onHead(500, 'x', []);
    raised[0]?.onEnd([]);
    await failed;
    const controller = new AbortController();
    const retry = failure(compute(ONE, controller.signal));
    controller.abort();
    await retry;
    calls.release(ONE);
    expect(calls.hasStateFor(ONE)).to.equal(true);
    expect(calls.matchesCall(ONE, lineageOf([user('other')]))).to.equal(false);
    calls.forget(ONE);
    expect(calls.hasStateFor(ONE)).to.equal(false);
  });

  it('are skipped beyond the limit: nothing is sent, and no compaction waits for them', async () => {
    for (const name of [ONE, TWO]) {
      keep(HELLO, name);
      void failure(compute(name));
    }
    const three = conversationId('three');
    keep([user('three')], three);
    expect(await failure(compute(three)))
      .to.be.instanceOf(CheckpointError)
      .and.to.include({ failure: 'skipped' });
    expect(raised).to.have.length(2);
    expect(calls.size).to.equal(2);
    expect(calls.runningCallFor(lineageOf([user('three')]))).to.equal(null);
    answer('x');
    await new Promise((resolve) => setImmediate(resolve));
    const work = compute(three);
    answer('y');
    expect((await work).anchorMessages).to.equal(1);
  });

  it('count as failed for the breaker only when the API may be down', async () => {
    const end = async (status: number): Promise<void> => {
      keep(HELLO);
      const work = failure(compute());
      raised.at(-1)?.onHead(status, 'x', []);
      raised.at(-1)?.onEnd([]);
      await work;
    };
    for (let count = 0; count < 9; count += 1) await end(400);
    for (let count = 0; count < 9; count += 1) {
      keep(HELLO);
      const controller = new AbortController();
      const work = failure(compute(ONE, controller.signal));
      controller.abort();
      await work;
    }
    expect(gate.breaker.state).to.equal('closed');
    for (let count = 0; count < 5; count += 1) await end(503);
    expect(gate.breaker.state).to.equal('open');
    keep(HELLO);
    expect(await failure(compute())).to.include({ failure: 'skipped' });
  });

  it('can be awaited by a history that begins with what they summarise, until they end in any way', async () => {
    keep(HELLO);
    const work = failure(compute());
    expect(calls.runningCallFor(lineageOf([user('other')]))).to.equal(null);
    const awaited = calls.runningCallFor(lineageOf([...HELLO, user('more')]));
    raised[0]?.onHead(400, 'x', []);
    raised[0]?.onEnd([]);
    expect(await awaited).to.equal(undefined);
    await work;
    expect(calls.runningCallFor(lineageOf(HELLO))).to.equal(null);
  });

  it('go on when an older call of the same conversation is aborted', async () => {
    keep([user('old')]);
    const controller = new AbortController();
    const old = failure(compute(ONE, controller.signal));
    keep(HELLO);
    const now = compute();
    controller.abort();
    await old;
    expect(calls.size).to.equal(1);
    expect(calls.runningCallFor(lineageOf(HELLO))).not.to.equal(null);
    answer('x');
    await now;
    expect(calls.size).to.equal(0);
  });
});
