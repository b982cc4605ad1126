import { expect } from 'chai';
import fc from 'fast-check';
import { createActor, fromPromise } from 'xstate';
import { conversationMachine, type ConversationSnapshot } from '../../../machines/conversation.ts';
import { phaseOf } from '../../../machines/phases.ts';
import { checkpointId, conversationId, milliseconds, timestamp, tokens } from '../../../machines/units.ts';
import type { Checkpoint } from '../../../src/checkpoint/index.ts';
import { conversationChange, detailPatch } from '../../../src/dashboard/push/patches.ts';
import { SCHEMAS } from '../../../src/admin/schemas.ts';
import { checkpointView, conversationName, conversationView } from '../../../src/dashboard/view.ts';
import { lineageOf, fullPrefix } from '../../../src/wire/lineage.ts';
import type { ConversationDetail } from '../../../web/contract.ts';
import { CHECKPOINT, ConversationRig, failure, INPUT, said } from '../../machines/conversation-rig.ts';
import { TransitionRecorder } from '../../machines/walk.ts';

const NOWHERE = new TransitionRecorder();
const FACTS = {
  name: conversationName('session-1', { folder: null, words: null }),
  kind: 'main',
  parent: null,
  created: 1,
  phaseSince: 2,
  callSince: 3,
  retryAt: 4,
} as const;
const CANARY = 'sk-ant-canary';

const shown = (rig: ConversationRig) => conversationView(rig.snapshot, { ...FACTS, phase: phaseOf(rig.snapshot) });

describe('what is shown of a conversation', () => {
  it('is all in the contract, whatever its state', () => {
    const rig = new ConversationRig(NOWHERE);
    for (const event of [said.started(), said.completed(100), said.completed(750), said.completed(820)]) {
      rig.tell(event);
      expect(SCHEMAS.Conversation.safeParse(shown(rig)).error).to.equal(undefined);
    }
  });

  it('has no marks while the window is not known', () => {
    const rig = new ConversationRig(NOWHERE);
    expect(shown(rig)).to.include({ marks: null, model: null, used: 0, effectiveWindow: 0, lastActivity: 1 });
    rig.tell(said.completed(700));
    expect(shown(rig).marks).to.deep.equal({ checkpoint: 700, swap: 800, client: 0 });
  });

  it('tells what the call is doing, why it failed and when it is tried again', async () => {
    const rig = new ConversationRig(NOWHERE);
    rig.tell(said.completed(750));
    expect(shown(rig).call).to.include({ state: 'running', tries: 1, maxTries: 3, startedAt: 3, retryAt: null });
    await rig.call.fail(failure('transient'));
    expect(shown(rig).call).to.deep.include({
      state: 'waiting',
      startedAt: null,
      retryAt: 4,
      failure: { kind: 'transient', message: 'it was transient' },
    });
    const given = new ConversationRig(NOWHERE);
    given.tell(said.completed(750));
    await given.call.fail(failure('too_long'));
    expect(shown(given).call).to.include({ state: 'given_up', retryAt: null });
  });

  it('tells how much the checkpoint covers', async () => {
    const rig = new ConversationRig(NOWHERE);
    rig.tell(said.completed(750));
    await rig.call.complete();
    expect(shown(rig)).to.include({ phase: 'WAL_ACTIVE', covered: CHECKPOINT.anchorMessages });
  });

  it('is nothing that its memory holds beside: no key, no body, under whatever name', () => {
    const base = createActor(
      conversationMachine.provide({ actors: { computeCheckpoint: fromPromise(() => Promise.resolve(CHECKPOINT)) } }),
      { input: INPUT },
    ).start();
    const snapshot = base.getSnapshot();
    const name = fc.oneof(
      fc.constantFrom('headers', 'body', 'authorization', 'summary', 'seen', 'request', 'x-api-key'),
      fc.string({ minLength: 1, maxLength: 12 }),
    );
    // `__proto__` and a snapshot's own names would break the snapshot itself, and not what is shown of it.
    const own = ['__proto__', 'matches', 'hasTag', 'can', 'getMeta', 'toJSON', ...Object.keys(snapshot)];
    const known = new Set([...own, ...Object.keys(snapshot.context), ...Object.keys(snapshot.context.counters)]);
    const extra = fc
      .dictionary(name, fc.oneof(fc.constant(CANARY), fc.constant({ deep: { deeper: [CANARY] } })), { minKeys: 1 })
      .map((fields) => Object.fromEntries(Object.entries(fields).filter(([key]) => !known.has(key))));
    fc.assert(
      fc.property(extra, (more) => {
        const { context } = snapshot;
        const counters = { ...more, ...context.counters };
        const checkpoint = { ...more, ...CHECKPOINT };
        const failed = { ...more, kind: 'transient', message: 'of ours', retryAfter: null };
        const loaded = { ...more, ...context, counters, checkpoint, failure: failed };
        // A snapshot is a class instance; `matches` has to go on working.
        const stuffed = Object.assign(Object.create(snapshot as object) as object, { context: loaded, ...more });
        const view = conversationView(stuffed as ConversationSnapshot, { ...more, ...FACTS, phase: 'IDLE' });
        expect(JSON.stringify(view)).not.to.include(CANARY);
        expect(SCHEMAS.Conversation.safeParse(view).success).to.equal(true);
      }),
      { numRuns: 200 },
    );
    base.stop();
  });
});

describe('what is shown of a checkpoint', () => {
  const checkpoint: Checkpoint = {
    id: checkpointId('c'),
    conversation: conversationId('s1'),
    prefix: fullPrefix(lineageOf([{ role: 'user', content: CANARY }])),
    anchorTokens: tokens(5),
    summary: 'The summary.',
    model: 'm',
    usage: { input: tokens(1), cacheCreation: tokens(2), cacheRead: tokens(3), output: tokens(4) },
    duration: milliseconds(1_234.5),
    createdAt: timestamp(7),
  };

  it('is its summary and what it cost, and nothing of what it was made from', () => {
    expect(checkpointView(checkpoint, 's1')).to.deep.equal({
      id: 'c',
      created: 7,
      model: 'm',
      summary: 'The summary.',
      covered: 1,
      durationMs: 1_235,
      tokens: { input: 1, cacheCreation: 2, cacheRead: 3, output: 4 },
      computedFor: null,
    });
    expect(checkpointView(checkpoint, 'a fork').computedFor).to.equal('s1');
  });
});

describe('the name of a conversation', () => {
  it('is its folder, else its first words, else its id', () => {
    expect(conversationName('id', { folder: '/home/me/parser/', words: 'Fix it' })).to.include({
      text: 'parser',
      from: 'folder',
      folder: '/home/me/parser/',
    });
    expect(conversationName('id', { folder: 'C:\\work\\parser', words: null }).text).to.equal('parser');
    expect(conversationName('id', { folder: '/', words: 'Fix it' })).to.include({ text: 'Fix it', from: 'words' });
    expect(conversationName('id', { folder: null, words: null })).to.include({ text: 'id', from: 'id' });
    expect(conversationName('x'.repeat(200), { folder: null, words: null }).text).to.have.length(80);
  });
});

describe('what changed', () => {
  it('is the fields that are not as they were, objects whole', () => {
    const rig = new ConversationRig(NOWHERE);
    rig.tell(said.completed(100));
    const before = shown(rig);
    expect(conversationChange(before, undefined)).to.equal(before);
    expect(conversationChange(shown(rig), before)).to.equal(null);
    rig.tell(said.completed(200));
    expect(Object.keys(conversationChange(shown(rig), before) ?? {})).to.have.members(['id', 'used', 'lastActivity']);
    const more = { ...before, counters: { ...before.counters, served: 1 } };
    expect(conversationChange(more, before)).to.deep.equal({ id: before.id, counters: more.counters });
  });

  it('turns what the page knew into what is so', () => {
    const rig = new ConversationRig(NOWHERE);
    const events = fc.constantFrom(...[100, 650, 720, 790, 850].map((used) => () => said.completed(used)));
    fc.assert(
      fc.property(fc.array(events, { minLength: 1, maxLength: 6 }), (told) => {
        const before = shown(rig);
        for (const event of told) rig.tell(event());
        const now = shown(rig);
        expect({ ...before, ...conversationChange(now, before) }).to.deep.equal(now);
      }),
      { numRuns: 50 },
    );
  });

  it('of a detail is the fields that are other objects', () => {
    const before: ConversationDetail = {
      id: 'x',
      phases: [],
      samples: [],
      marks: [],
      messages: { state: 'waiting' },
      checkpoint: null,
      lastSwap: null,
    };
    expect(detailPatch({ ...before }, before)).to.equal(null);
    const phases = [{ at: 1, phase: 'IDLE' }] as const;
    expect(detailPatch({ ...before, phases }, before)).to.deep.equal({ id: 'x', phases });
  });
});
