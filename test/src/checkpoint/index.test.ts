import { expect } from 'chai';
import fc from 'fast-check';
import { checkpointId, conversationId, milliseconds, timestamp, tokens } from '../../../machines/units.ts';
import { CheckpointIndex, refOf, type Checkpoint } from '../../../src/checkpoint/index.ts';
import { NO_USAGE } from '../../../src/wire/answer-reader.ts';
import { lineageOf, fullPrefix } from '../../../src/wire/lineage.ts';
import type { Message } from '../../../src/wire/message-request.ts';
import { continuation, dice, history } from '../../support/histories.ts';
import { EDITS, varied } from '../../support/history-changes.ts';

const user = (content: Message['content']): Message => ({ role: 'user', content });
const assistant = (content: Message['content']): Message => ({ role: 'assistant', content });
const NOW = timestamp(1_000);

const checkpoint = (messages: readonly Message[], summary: string, createdAt = NOW): Checkpoint => ({
  id: checkpointId(summary),
  conversation: conversationId('c'),
  prefix: fullPrefix(lineageOf(messages)),
  anchorTokens: tokens(130_000),
  summary,
  model: 'm',
  usage: NO_USAGE,
  duration: milliseconds(1),
  createdAt,
});

const found = (index: CheckpointIndex, messages: readonly Message[]): string | null =>
  index.find(lineageOf(messages), NOW)?.checkpoint.summary ?? null;

describe('the index of checkpoints', () => {
  it('finds what covers a history, and how much of it', () => {
    fc.assert(
      fc.property(history, continuation, dice, (before, after, rolls) => {
        const index = new CheckpointIndex();
        index.add(checkpoint(varied(before, rolls), 'it'));
        const covering = index.find(lineageOf(varied([...before, ...after], rolls)), NOW);
        expect(covering?.checkpoint.summary).to.equal('it');
        expect(covering?.blocks).to.equal(lineageOf(before).length);
      }),
      { seed: 20260731, numRuns: 100 },
    );
  });

  it('finds nothing for any other history', () => {
    const edits = Object.values(EDITS);
    fc.assert(
      fc.property(history, continuation, dice, (before, after, rolls) => {
        const index = new CheckpointIndex();
        index.add(checkpoint(before, 'it'));
        const edit = rolls.pick(edits);
        const changed = edit?.(before, rolls) ?? null;
        if (changed !== null) expect(found(index, [...changed, ...after])).to.equal(null);
        expect(found(index, after)).to.equal(null);
        expect(found(index, before.slice(0, -1))).to.equal(null);
      }),
      { seed: 20260731, numRuns: 200 },
    );
  });

  describe('after a switch between models that write reminders in one way and in the other', () => {
    const reminder = (text: string): string => `<system-reminder>${text}</system-reminder>`;
    const system = (content: string): Message => ({ role: 'system', content });
    const asBlocks = [user(`${reminder('tools')}one`), assistant('two'), user(`${reminder('date')}three`)];
    const asMessages = [user('one'), system('tools'), assistant('two'), user('three'), system('date')];
    const ask = (made: readonly Message[], asked: readonly Message[], model: string): number | undefined => {
      const index = new CheckpointIndex();
      index.add(checkpoint(made, 'it'));
      return index.find(lineageOf(asked), NOW, model)?.blocks;
    };

    it('finds what another model made of the same history, both ways', () => {
      expect(ask(asBlocks, asMessages, 'other')).to.equal(5);
      expect(ask(asMessages, asBlocks, 'other')).to.equal(3);
      expect(ask(asMessages, asMessages.with(1, system('else')), 'other')).to.equal(5);
    });

    it('does so for no other history, and for no checkpoint of the same model', () => {
      expect(ask(asBlocks, asMessages.with(3, user('four')), 'other')).to.equal(undefined);
      expect(ask(asBlocks, asMessages.slice(0, 3), 'other')).to.equal(undefined);
      expect(ask(asBlocks, asMessages, 'm')).to.equal(undefined);
      expect(ask(asMessages, asMessages.with(1, system('else')), 'm')).to.equal(undefined);
    });

    it('forgets it as any other', () => {
      const index = new CheckpointIndex();
      index.add(checkpoint(asBlocks, 'it'));
      index.add(checkpoint(asBlocks, 'newer'));
      expect(index.size).to.equal(1);
      expect(index.find(lineageOf(asMessages), NOW, 'other')?.checkpoint.summary).to.equal('newer');
      index.expire(timestamp(NOW + 1));
      expect([index.size, index.find(lineageOf(asMessages), NOW, 'other')]).to.deep.equal([0, null]);
    });
  });

  it('finds the one that covers most', () => {
    const messages = [user('1'), assistant('2'), user('3'), assistant('4'), user('5')];
    const index = new CheckpointIndex();
    for (const count of [3, 1, 2]) index.add(checkpoint(messages.slice(0, count), `first ${count}`));
    expect(found(index, messages)).to.equal('first 3');
    expect(found(index, messages.slice(0, 3))).to.equal('first 3');
    expect(found(index, [...messages.slice(0, 2), user('other')])).to.equal('first 2');
    expect(index.size).to.equal(3);
  });

  it('keeps the newer of two of one history', () => {
    const index = new CheckpointIndex();
    index.add(checkpoint([user('1')], 'old'));
    index.add(checkpoint([user([{ type: 'text', text: '1\n' }])], 'new'));
    expect(found(index, [user('1')])).to.equal('new');
    expect(index.size).to.equal(1);
  });

  it('keeps both of two histories that differ in what may be missing', () => {
    const result = (content: string): Message[] => [user([{ type: 'tool_result', tool_use_id: 't', content }])];
    const index = new CheckpointIndex();
    index.add(checkpoint(result('one'), 'of one'));
    index.add(checkpoint(result('two'), 'of two'));
    expect(index.size).to.equal(2);
    expect(found(index, result('one'))).to.equal('of one');
    expect(found(index, result('two'))).to.equal('of two');
    expect(found(index, result('three'))).to.equal(null);
    expect(found(index, result('[Old tool result content cleared]'))).to.equal('of two');
  });

  it('has nothing for nothing', () => {
    const index = new CheckpointIndex();
    expect(found(index, [user('1')])).to.equal(null);
    index.add(checkpoint([user('1')], 'it'));
    expect(found(index, [])).to.equal(null);
    expect(found(index, [user('<system-reminder>x</system-reminder>')])).to.equal(null);
  });

  it('never covers anything by a history in which nothing counts', () => {
    const index = new CheckpointIndex();
    index.add(checkpoint([user('<system-reminder>x</system-reminder>')], 'nothing'));
    expect(found(index, [user('1')])).to.equal(null);
    expect(found(index, [])).to.equal(null);
  });

  it('forgets what nobody has needed for a while', () => {
    const index = new CheckpointIndex();
    index.add(checkpoint([user('1')], 'one', timestamp(100)));
    index.add(checkpoint([user('2')], 'two', timestamp(200)));
    index.add(checkpoint([user('3')], 'three', timestamp(300)));
    index.expire(timestamp(200));
    expect([1, 2, 3].map((at) => found(index, [user(String(at))]))).to.deep.equal([null, 'two', 'three']);
    expect(index.size).to.equal(2);
    index.expire(timestamp(2_000));
    expect(index.size).to.equal(0);
  });

  it('keeps what was found', () => {
    const index = new CheckpointIndex();
    index.add(checkpoint([user('1')], 'one', timestamp(100)));
    index.find(lineageOf([user('1'), assistant('2')]), timestamp(500));
    index.expire(timestamp(500));
    expect(index.size).to.equal(1);
  });

  it('forgets one of two with the same key', () => {
    const result = (content: string): Message[] => [user([{ type: 'tool_result', tool_use_id: 't', content }])];
    const index = new CheckpointIndex();
    index.add(checkpoint(result('one'), 'of one', timestamp(100)));
    index.add(checkpoint(result('two'), 'of two', timestamp(200)));
    index.expire(timestamp(150));
    expect([found(index, result('one')), found(index, result('two')), index.size]).to.deep.equal([null, 'of two', 1]);
  });

  it('is told to machines by name and anchor', () => {
    expect(refOf(checkpoint([user('1'), assistant('2'), user('3')], 'x'))).to.deep.equal({
      id: 'x',
      anchorMessages: 3,
      anchorTokens: 130_000,
    });
  });
});
