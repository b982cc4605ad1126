import { expect } from 'chai';
import { conversationId, milliseconds } from '../../../machines/units.ts';
import type { SeriesMark } from '../../../web/contract.ts';
import { ConversationViews } from '../../../src/dashboard/conversation-views.ts';
import type { Message } from '../../../src/wire/message-request.ts';
import { Desk, settle } from '../conversations/desk.ts';

const user = (content: Message['content']): Message => ({ role: 'user', content });
const assistant = (content: Message['content']): Message => ({ role: 'assistant', content });
const S1 = conversationId('s1');
const HISTORY = [user('one')];
const LONGER = [...HISTORY, assistant('two'), user('three')];

describe('the conversation views', () => {
  let desk: Desk;
  let views: ConversationViews;
  const changed: string[] = [];
  beforeEach(() => {
    changed.length = 0;
    desk = new Desk();
    views = new ConversationViews({
      now: () => desk.now(),
      checkpoint: (id) => desk.index.get(id),
      onChange: (id) => changed.push(id),
    });
    desk.facts.subscribe((fact) => views.onFact(fact));
  });
  afterEach(() => desk.stop());

  const marks = (): SeriesMark['kind'][] => (views.detail(S1)?.marks ?? []).map(({ kind }) => kind);

  it('opens with a conversation and closes with it', async () => {
    await desk.turn({ messages: HISTORY }, 20_000);
    expect(views.all().map(({ id }) => id)).to.deep.equal(['s1']);
    expect(views.find('s1')).to.equal(S1);
    expect(views.find('s2')).to.equal(null);
    await desk.pass(7_200_000);
    expect([views.all().length, views.view(S1), views.detail(S1)]).to.deep.equal([0, null, null]);
    expect(changed.at(-1)).to.equal('s1');
  });

  it('lists the most recently active first', async () => {
    await desk.turn({ messages: HISTORY }, 20_000);
    await desk.pass(1_000);
    await desk.turn({ messages: HISTORY, session: 's2' }, 20_000);
    await desk.pass(1_000);
    await desk.turn({ messages: LONGER }, 21_000);
    expect(views.all().map(({ id }) => id)).to.deep.equal(['s1', 's2']);
  });

  it('knows since when a phase holds, what was used when, and what happened', async () => {
    await desk.turn({ messages: HISTORY }, 20_000);
    await desk.pass(1_000);
    await desk.turn({ messages: LONGER }, 130_000);
    expect(views.view(S1)).to.include({ phase: 'CHECKPOINTING', phaseSince: 1_000 });
    expect(views.view(S1)?.call).to.include({ startedAt: 1_000 });
    await desk.pass(500);
    desk.pending.succeed('SUMMARY');
    await settle();
    const detail = views.detail(S1);
    expect(detail?.phases).to.deep.equal([
      { at: 0, phase: 'IDLE' },
      { at: 1_000, phase: 'CHECKPOINTING' },
      { at: 1_500, phase: 'WAL_ACTIVE' },
    ]);
    expect(detail?.samples.map(({ at, used }) => [at, used])).to.deep.equal([
      [0, 20_000],
      [1_000, 130_000],
    ]);
    expect(detail?.marks).to.deep.equal([{ at: 1_500, kind: 'checkpoint', used: 130_000 }]);
    expect(detail?.checkpoint).to.include({ summary: 'SUMMARY', covered: 3 });
    expect(views.detail(S1)?.checkpoint).to.equal(detail?.checkpoint);
  });

  it('knows when a failed call is tried again', async () => {
    await desk.turn({ messages: HISTORY }, 130_000);
    desk.pending.fail(529, 'overloaded_error');
    await settle();
    views.onFact({ type: 'checkpoint.postponed', conversation: S1, pause: milliseconds(2_000) });
    expect(views.view(S1)?.call).to.include({ state: 'waiting', retryAt: 2_000, tries: 1 });
    expect(views.view(S1)?.call.failure?.kind).to.equal('transient');
    expect(marks()).to.deep.equal(['failed']);
  });

  it('knows that a summary that was served was not taken', async () => {
    await desk.turn({ messages: HISTORY }, 130_000);
    desk.pending.succeed('SUMMARY');
    await settle();
    await desk.compact({ messages: LONGER });
    expect(views.detail(S1)?.lastSwap).to.include({ taken: null, messagesBefore: 3, summaryChars: 7 });
    await desk.turn({ messages: LONGER }, 131_000);
    expect(views.detail(S1)?.lastSwap).to.include({ taken: false, usedAfter: null });
    expect(marks()).to.deep.equal(['checkpoint', 'swap']);
  });

  it('reads messages only while somebody watches', async () => {
    await desk.turn({ messages: HISTORY }, 20_000);
    expect(views.detail(S1)?.messages.state).to.equal('waiting');
    const stop = views.watch(S1);
    const other = views.watch(S1);
    desk.begin({ messages: LONGER });
    await settle();
    expect(views.detail(S1)?.messages).to.deep.include({ state: 'shown', total: 3 });
    stop();
    stop();
    expect(views.detail(S1)?.messages.state).to.equal('shown');
    other();
    expect(views.detail(S1)?.messages.state).to.equal('waiting');
  });

  it('forgets what is read for somebody who has left meanwhile', async () => {
    await desk.turn({ messages: HISTORY }, 20_000);
    const stop = views.watch(S1);
    desk.begin({ messages: LONGER });
    stop();
    await settle();
    expect(views.detail(S1)?.messages.state).to.equal('waiting');
  });
});
