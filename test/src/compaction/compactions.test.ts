import { expect } from 'chai';
import fc from 'fast-check';
import { tokens } from '../../../machines/units.ts';
import type { CompactionOutcome } from '../../../src/compaction/compactions.ts';
import { recentBudget, recentShare } from '../../../src/compaction/serve.ts';
import { AnswerReader, usedTokens } from '../../../src/wire/answer-reader.ts';
import { blocksOf, textOf, type Message } from '../../../src/wire/message-request.ts';
import { continuation, dice, history } from '../../support/histories.ts';
import { EDITS, varied } from '../../support/history-changes.ts';
import { compactionOf, Desk, seenOf, servedText, settle } from '../conversations/desk.ts';

const user = (content: Message['content']): Message => ({ role: 'user', content });
const assistant = (content: Message['content']): Message => ({ role: 'assistant', content });

/** What 72 % and 81 % of the effective window of a 200k model are, and what is below both thresholds. */
const LOW = 20_000;
const CHECKPOINT = 130_000;
const SWAP = 146_000;

const HISTORY = [user('Please fix the parser.')];
const LONGER = [...HISTORY, assistant('Done.'), user('And the lexer, in src/lexer.ts.')];

const reasonOf = (outcome: CompactionOutcome): string => (outcome.kind === 'forward' ? outcome.reason : outcome.kind);

describe('compactions', () => {
  let desk: Desk;
  beforeEach(() => {
    desk = new Desk();
  });
  afterEach(() => desk.stop());

  /** A conversation of `HISTORY` with a checkpoint. */
  async function withCheckpoint(used = CHECKPOINT): Promise<void> {
    await desk.turn({ messages: HISTORY }, used);
    desk.pending.succeed('the parser is to be fixed');
    await settle();
  }

  describe('are answered', () => {
    it('with the summary and all that was said since', async () => {
      await withCheckpoint();
      await desk.turn({ messages: LONGER }, SWAP);
      const text = servedText(await desk.compact({ messages: [...LONGER, assistant('I will look at it.')] }));
      expect(text).to.match(
        /^<summary>\nthe parser is to be fixed\n\n## Since then\n[^]*Done\.[^]*src\/lexer\.ts\.[^]*I will look at it\.\n<\/summary>$/,
      );
      expect(text).not.to.include('Please fix');
      expect(desk.sent).to.have.length(1);
    });

    it('with the summary alone when nothing was said since', async () => {
      await withCheckpoint();
      expect(servedText(await desk.compact({ messages: HISTORY }))).to.equal(
        '<summary>\nthe parser is to be fixed\n</summary>',
      );
    });

    it('before the swap threshold as well as past it, and whoever asks', async () => {
      await withCheckpoint();
      for (const asking of [
        {},
        { session: 'fork' },
        { agent: 'a1' },
        { class: null },
        { model: 'claude-opus-5-5' },
      ] as const) {
        expect(reasonOf(await desk.compact({ messages: LONGER, ...asking })), JSON.stringify(asking)).to.equal('serve');
      }
    });

    it('in every form that the instruction can have', async () => {
      await withCheckpoint();
      const text = servedText(await desk.compact({ messages: LONGER }, { merged: true }));
      expect(text).to.include('src/lexer.ts');
      expect(text).not.to.include('CRITICAL');
      expect(servedText(await desk.compact({ messages: LONGER }))).to.equal(text);
    });

    it('streamed or whole, as they ask, with usage that bills nothing', async () => {
      await withCheckpoint();
      for (const stream of [true, false]) {
        const outcome = await desk.compact({ messages: LONGER, stream });
        if (outcome.kind !== 'serve') throw new Error('nothing was served');
        expect(outcome.answer.headers.join(' ')).to.include(stream ? 'text/event-stream' : 'application/json');
        const reader = new AnswerReader({ keepText: false });
        if (!stream) reader.takeBody(outcome.answer.body.toString());
        expect(usedTokens(reader.usage)).to.equal(0);
      }
    });

    it('the same way when they come again', async () => {
      await withCheckpoint();
      const [first, second] = [await desk.compact({ messages: LONGER }), await desk.compact({ messages: LONGER })];
      if (first.kind !== 'serve' || second.kind !== 'serve') throw new Error('nothing was served');
      expect(first.answer.body.equals(second.answer.body)).to.equal(true);
      expect(first.answer.headers).to.deep.equal(second.answer.headers);
      expect(desk.events('compaction.served')).to.have.length(2);
    });

    it('from the checkpoint that covers most', async () => {
      await withCheckpoint();
      await desk.turn({ messages: [...LONGER, assistant('x'), user('y')], session: 'elsewhere' }, CHECKPOINT);
      expect(desk.sent).to.have.length(1);
      await desk.turn({ messages: [user('other')], session: 'elsewhere' }, CHECKPOINT);
      expect(desk.sent).to.have.length(2);
    });

    it('with any history, and none but its own', async () => {
      await fc.assert(
        fc.asyncProperty(history, continuation, dice, async (before, after, rolls) => {
          const world = new Desk(null, 'unsupervised');
          await world.turn({ messages: before }, CHECKPOINT);
          world.pending.succeed('SUMMARY');
          await settle();
          const asked = varied([...before, ...after], rolls, ['tool results are cleared']);
          const text = servedText(await world.compact({ messages: asked }, { merged: rolls.once(2) }));
          expect(text).to.match(/^<summary>\nSUMMARY/);
          const edited = rolls.pick(Object.values(EDITS))?.(before, rolls) ?? null;
          if (edited !== null)
            expect(reasonOf(await world.compact({ messages: [...edited, ...after] }))).to.equal('no_checkpoint');
          world.stop();
        }),
        { seed: 20260731, numRuns: 60 },
      );
    });
  });

  describe('go to the API', () => {
    it('with words of the user on what to summarise', async () => {
      await withCheckpoint();
      expect(reasonOf(await desk.compact({ messages: LONGER }, { words: 'the lexer' }))).to.equal('instructions');
    });

    it('with another instruction than the known one', async () => {
      await withCheckpoint();
      const { seen, compaction } = seenOf({
        messages: [...LONGER, user('Summarise the RECENT portion of the conversation')],
        class: 'compaction',
      });
      if (compaction === null) throw new Error('this is no compaction');
      expect(reasonOf(await desk.compactions.decide(seen, compaction, new AbortController().signal))).to.equal(
        'instructions',
      );
    });

    it('when there is no checkpoint', async () => {
      await desk.turn({ messages: HISTORY }, LOW);
      expect(reasonOf(await desk.compact({ messages: LONGER }))).to.equal('no_checkpoint');
    });

    it('when nobody has heard of the conversation', async () => {
      expect(reasonOf(await desk.compact({ messages: LONGER, session: 'never seen' }))).to.equal('no_checkpoint');
    });

    it('when the history was rewound past the checkpoint, or edited', async () => {
      await withCheckpoint();
      expect(reasonOf(await desk.compact({ messages: [user('Please fix the lexer.'), ...LONGER.slice(1)] }))).to.equal(
        'no_checkpoint',
      );
      expect(reasonOf(await desk.compact({ messages: LONGER.slice(1) }))).to.equal('no_checkpoint');
    });

    it('when what was said since does not fit', async () => {
      await withCheckpoint();
      const room = recentBudget(tokens(180_000), 0.2);
      const much = [...LONGER, assistant('word '.repeat(room / 5 + 1)), user('go on')];
      expect(reasonOf(await desk.compact({ messages: much }))).to.equal('stale');
      expect(reasonOf(await desk.compact({ messages: LONGER }))).to.equal('serve');
    });

    it('when a message is of no known shape', async () => {
      await withCheckpoint();
      const broken = [...LONGER, { role: 'assistant', content: null } as unknown as Message];
      expect(reasonOf(await desk.compact({ messages: broken }))).to.equal('unreadable');
    });

    it('when the checkpoint failed', async () => {
      await desk.turn({ messages: HISTORY }, CHECKPOINT);
      desk.pending.fail(400);
      await settle();
      expect(reasonOf(await desk.compact({ messages: LONGER }))).to.equal('checkpoint_failed');
    });

    it('when the conversation is compacted over and over', async () => {
      await withCheckpoint();
      const summary = servedText(await desk.compact({ messages: LONGER }));
      const next = [user(`This session is being continued from a previous conversation.\n\n${summary}`), user('next')];
      await desk.turn({ messages: next, compacted: true }, CHECKPOINT);
      expect(desk.events('compaction.loop').map(({ level, fields }) => [level, fields['conversation']])).to.deep.equal([
        ['warn', 's1'],
      ]);
      expect(desk.sent, 'no checkpoint').to.have.length(1);
      const later = [...next, assistant('ok'), user('and')];
      expect(reasonOf(await desk.compact({ messages: later }))).to.equal('loop');
      const { seen, compaction } = seenOf({ messages: compactionOf(later), class: 'compaction' });
      if (compaction !== null) desk.compactions.recordStreamedThrough(seen, compaction);
      expect(desk.events('compaction.forwarded').at(-1)?.fields['reason']).to.equal('loop');
      await desk.turn({ messages: later }, LOW);
      expect(desk.events('compaction.loop_ended')).to.have.length(1);
      expect(reasonOf(await desk.compact({ messages: later }))).to.equal('no_checkpoint');
    });

    it('always, in passthrough', async () => {
      const plain = new Desk({ DBPROXY_PASSTHROUGH: 'true' });
      await plain.turn({ messages: HISTORY }, SWAP);
      expect(plain.sent).to.have.length(0);
      expect(plain.compactions.canServe).to.equal(false);
      expect(reasonOf(await plain.compact({ messages: LONGER }))).to.equal('passthrough');
      const { seen, compaction } = seenOf({ messages: compactionOf(LONGER), class: 'compaction' });
      if (compaction !== null) plain.compactions.recordStreamedThrough(seen, compaction);
      expect(plain.events('compaction.forwarded').map(({ fields }) => fields['reason'])).to.deep.equal([
        'passthrough',
        'passthrough',
      ]);
      plain.stop();
    });

    it('with the reason and no message text in the log', async () => {
      await desk.compact({ messages: LONGER });
      expect(desk.events('compaction.forwarded').map(({ fields }) => fields)).to.deep.equal([
        { conversation: 's1', reason: 'no_checkpoint' },
      ]);
      expect(JSON.stringify(desk.log)).not.to.match(/parser|lexer/);
    });
  });

  describe('that meet a running call', () => {
    beforeEach(async () => {
      await desk.turn({ messages: HISTORY }, CHECKPOINT);
    });

    /** Lets everything happen, and says whether the outcome is known. */
    const isDecided = async (outcome: Promise<CompactionOutcome>): Promise<boolean> => {
      let known = false;
      void outcome.then(() => (known = true));
      await settle();
      return known;
    };

    it('wait for it, and are served its summary', async () => {
      const outcome = desk.compact({ messages: LONGER });
      expect(await isDecided(outcome)).to.equal(false);
      desk.pending.succeed('just in time');
      expect(servedText(await outcome))
        .to.include('just in time')
        .and.to.include('src/lexer.ts');
      expect(desk.conversations.actors.phase((await outcome).conversation)).to.equal('SWAP_READY');
    });

    it('go to the API when it fails', async () => {
      const outcome = desk.compact({ messages: LONGER });
      expect(await isDecided(outcome)).to.equal(false);
      desk.pending.fail(529);
      expect(reasonOf(await outcome)).to.equal('checkpoint_failed');
    });

    it('go to the API when it takes too long, and leave it running', async () => {
      const quick = new Desk({ DBPROXY_COMPACTION_WAIT: '30ms' });
      await quick.turn({ messages: HISTORY }, CHECKPOINT);
      const began = performance.now();
      expect(reasonOf(await quick.compact({ messages: LONGER }))).to.equal('wait_timeout');
      expect(performance.now() - began)
        .to.be.greaterThan(20)
        .and.below(2_500);
      expect(quick.pending.aborted).to.equal(false);
      quick.stop();
    });

    it('are abandoned when the client disconnects, and leave the call running', async () => {
      const controller = new AbortController();
      const outcome = desk.compact({ messages: LONGER }, { signal: controller.signal });
      expect(await isDecided(outcome)).to.equal(false);
      controller.abort();
      expect(reasonOf(await outcome)).to.equal('abandoned');
      expect(desk.pending.aborted).to.equal(false);
      expect(desk.events('compaction.forwarded')).to.have.length(0);
    });

    it('are abandoned without waiting when the client had disconnected before', async () => {
      const began = performance.now();
      expect(reasonOf(await desk.compact({ messages: LONGER }, { signal: AbortSignal.abort() }))).to.equal('abandoned');
      expect(performance.now() - began).to.be.below(2_500);
    });

    it('are not served when the call ends after the client has disconnected', async () => {
      const controller = new AbortController();
      const outcome = desk.compact({ messages: LONGER }, { signal: controller.signal });
      await isDecided(outcome);
      controller.abort();
      desk.pending.succeed('SUMMARY');
      expect(reasonOf(await outcome)).to.equal('abandoned');
      await settle();
      expect(desk.events('compaction.served')).to.have.length(0);
      expect(reasonOf(await desk.compact({ messages: LONGER }))).to.equal('serve');
    });

    it('do not wait for a summary of another history', async () => {
      expect(reasonOf(await desk.compact({ messages: [user('something else')] }))).to.equal('no_checkpoint');
      expect(desk.pending.aborted).to.equal(false);
    });

    it('do not wait when they bring instructions', async () => {
      expect(reasonOf(await desk.compact({ messages: LONGER }, { words: 'the lexer' }))).to.equal('instructions');
    });

    it('wait for the call of another session that began the same', async () => {
      const outcome = desk.compact({ messages: LONGER, session: 'fork' });
      desk.pending.succeed('for both');
      expect(servedText(await outcome)).to.include('for both');
    });

    it('do not wait when there is a checkpoint already, be it an older one', async () => {
      desk.pending.succeed('first');
      await settle();
      // A rewind to the beginning, under another name: its own call is under way, and the older checkpoint serves.
      await desk.turn({ messages: [...LONGER, assistant('x'), user('y')] }, SWAP);
      expect(await isDecided(desk.compact({ messages: LONGER }))).to.equal(true);
    });
  });

  it('of a turn that has just crossed the threshold find its call', async () => {
    const turn = desk.begin({ messages: HISTORY });
    desk.turns.complete(turn, {
      input: tokens(CHECKPOINT),
      cacheCreation: tokens(0),
      cacheRead: tokens(0),
      output: tokens(0),
    });
    const outcome = desk.compact({ messages: LONGER });
    await settle();
    desk.pending.succeed('found');
    expect(servedText(await outcome)).to.include('found');
  });

  describe('that were streamed through', () => {
    for (const [what, words, failed, reason] of [
      ['had nothing to be served', '', false, 'no_checkpoint'],
      ['brought instructions', 'the lexer', false, 'instructions'],
      ['followed a failure', '', true, 'checkpoint_failed'],
    ] as const) {
      it(`are noted: they ${what}`, async () => {
        await desk.turn({ messages: HISTORY }, failed ? CHECKPOINT : LOW);
        if (failed) desk.pending.fail(400);
        await settle();
        const { seen, compaction } = seenOf({ messages: compactionOf(LONGER, words), class: 'compaction' });
        if (compaction === null) throw new Error('this is no compaction');
        expect(desk.compactions.recordStreamedThrough(seen, compaction)).to.equal('s1');
        expect(desk.events('compaction.forwarded').at(-1)?.fields).to.deep.equal({ conversation: 's1', reason });
        expect(desk.conversations.actors.snapshot('s1' as never)?.context.counters.forwarded).to.equal(1);
      });
    }
  });

  it('may have recent messages of twice the share that a checkpoint may age by, within bounds', () => {
    const share = (checkpointRefresh: number, checkpoint = 0.7) =>
      recentShare({ checkpointRefresh, thresholds: { checkpoint, swap: 0.8 } });
    expect([0.01, 0.05, 0.1, 0.15, 0.175, 0.5].map((refresh) => share(refresh))).to.deep.equal([
      ...[0.1, 0.1, 0.2, 0.3, 0.35, 0.35],
    ]);
    expect([share(0.1, 0.3), share(0.1, 0.05)]).to.deep.equal([0.15, 0.1]);
    expect([recentBudget(tokens(180_000), 0.2), recentBudget(tokens(0), 0.2)]).to.deep.equal([126_000, 0]);
  });

  describe('while a newer checkpoint is computed', () => {
    const AGED = CHECKPOINT + 18_001;
    const LATER = [...LONGER, assistant('I looked at it.'), user('Then run the tests.')];
    beforeEach(async () => {
      await withCheckpoint();
      await desk.turn({ messages: LONGER }, AGED);
      expect(desk.sent).to.have.length(2);
    });

    it('are answered from the old one at once', async () => {
      const text = servedText(await desk.compact({ messages: LATER }));
      expect(text)
        .to.include('the parser is to be fixed')
        .and.to.include('src/lexer.ts')
        .and.to.include('run the tests');
      expect(desk.events('compaction.served').at(-1)?.fields).to.include({ waited_ms: 0, recent_messages: 4 });
    });

    for (const [what, end] of [
      ['it failed', () => desk.pending.fail(529)],
      ['it was refused', () => desk.pending.fail(400)],
      ['its connection broke', () => desk.pending.breakOff()],
    ] as const) {
      it(`are answered from the old one after ${what}`, async () => {
        end();
        await settle();
        expect(servedText(await desk.compact({ messages: LATER }))).to.include('the parser is to be fixed');
      });
    }

    it('are answered from the newer once it is there, and a rewind still from the old one', async () => {
      desk.pending.succeed('parser done, now the lexer');
      await settle();
      expect(desk.index.size).to.equal(2);
      const text = servedText(await desk.compact({ messages: LATER }));
      expect(text).to.include('now the lexer').and.to.include('run the tests').and.not.to.include('src/lexer.ts');
      const rewound = [...HISTORY, assistant('Done.'), user('Now something else.')];
      expect(servedText(await desk.compact({ messages: rewound }))).to.include('the parser is to be fixed');
    });

    it('fit the messages until it is completed', async () => {
      // A tenth of the window in words, and as much again while the call runs.
      const much = [...LONGER, assistant('word '.repeat((0.19 * 180_000 * 3.5) / 5)), user('go on')];
      expect(reasonOf(await desk.compact({ messages: much }))).to.equal('serve');
    });
  });

  it('log the time saved, and no message text', async () => {
    await withCheckpoint();
    await desk.compact({ messages: LONGER });
    const [line] = desk.events('compaction.served');
    expect(line?.fields).to.include({
      conversation: 's1',
      computed_for: 's1',
      messages: 3,
      recent_messages: 2,
      waited_ms: 0,
    });
    expect(JSON.stringify(desk.log)).not.to.match(/parser|lexer|sk-test/);
  });

  it('contain what the user typed while a tool ran', async () => {
    await withCheckpoint();
    const typed =
      '<system-reminder>\nThe user sent a new message while you were working:\nuse tabs\n</system-reminder>';
    const messages = [
      ...HISTORY,
      assistant([{ type: 'tool_use', id: 't', name: 'Bash', input: { command: 'make' } }]),
      user([{ type: 'tool_result', tool_use_id: 't', content: `ok\n${typed}` }]),
    ];
    const text = servedText(await desk.compact({ messages }, { merged: true }));
    expect(text).to.include('use tabs').and.to.include('make');
    expect(messages.flatMap((message) => blocksOf(message).map(textOf))).to.have.length(3);
  });
});
