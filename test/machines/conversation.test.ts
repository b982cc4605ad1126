import { expect } from 'chai';
import type { EventFromLogic, SnapshotFrom } from 'xstate';
import { refreshStep, retryPause, utilisation } from '../../machines/conversation-calculations.ts';
import { conversationMachine, toPersisted } from '../../machines/conversation.ts';
import type { CallFailureKind, ConversationEvent, ConversationInput } from '../../machines/conversation-events.ts';
import { phaseOf } from '../../machines/phases.ts';
import { checkpointId, milliseconds, tokens } from '../../machines/units.ts';
import { CHECKPOINT, ConversationRig, failure, INPUT, OTHER, said } from './conversation-rig.ts';
import { declaredValues, edgesOf, settle, TransitionRecorder, type Edge } from './walk.ts';

type Machine = typeof conversationMachine;
type Snapshot = SnapshotFrom<Machine>;
/** What a walk does to a conversation: events from outside, and the ends of calls and timers. */
type Step = EventFromLogic<Machine> & { readonly output?: unknown; readonly error?: unknown };

const DONE = 'xstate.done.actor.0.conversation.alive.call.running';
const FAILED = 'xstate.error.actor.0.conversation.alive.call.running';
const RETRY_DUE = 'xstate.after.retryPause.conversation.alive.call.waitingToRetry';
const IDLE_DUE = 'xstate.after.idleTime.conversation.alive.activity.recent';
const KINDS: readonly CallFailureKind[] = ['transient', 'unusable', 'rejected', 'too_long', 'skipped'];

const internal = (type: string, more: object = {}): Step => ({ type, ...more }) as unknown as Step;

/** Everything that can happen from outside, each with every answer that a guard asks for. Made once, so that equal events are one. */
const OUTSIDE: readonly ConversationEvent[] = [
  said.started(null, true),
  said.started(null, false),
  said.started(OTHER, true),
  said.started(OTHER, false),
  said.completed(100),
  said.completed(700),
  said.completed(800),
  said.completed(820),
  said.completed(820, 8, 13),
  said.requested(null),
  said.requested(OTHER),
  said.served(),
  said.forwarded(),
  said.completedByApi(),
  said.replaced(true),
  said.replaced(false),
  said.reset(),
];
const ENDS = [
  internal(DONE, { output: CHECKPOINT }),
  ...KINDS.map((kind) => internal(FAILED, { error: failure(kind) })),
] as const;

const isRunning = (state: Snapshot): boolean => state.matches({ alive: { call: 'running' } });
const isWaiting = (state: Snapshot): boolean => state.matches({ alive: { call: 'waitingToRetry' } });
const isEmpty = (state: Snapshot): boolean => state.matches({ alive: { buffer: 'empty' } });

function stepsFrom(state: Snapshot): Step[] {
  if (state.status !== 'active') return [];
  return [
    ...OUTSIDE,
    internal(IDLE_DUE),
    ...(isRunning(state) ? ENDS : []),
    ...(isWaiting(state) ? [internal(RETRY_DUE)] : []),
  ];
}

/** States that no guard and no test can tell apart count as one. */
function keyOf({ value, context }: Snapshot): string {
  const {
    checkpoint,
    lastRefreshStep,
    looping,
    tries,
    turn,
    turnMessages,
    triedMessages,
    turnsSinceReplaced,
    thresholds,
  } = context;
  const hasMovedOn = turnMessages > triedMessages;
  const share = utilisation(context);
  const band = share >= thresholds.swap ? 'swap' : share >= thresholds.checkpoint ? 'checkpoint' : 'below';
  return JSON.stringify([
    value,
    band,
    checkpoint?.id,
    refreshStep(context),
    lastRefreshStep,
    tries,
    turn,
    hasMovedOn,
    looping,
    turnsSinceReplaced,
    context.failure?.kind,
  ]);
}

describe('the conversation machine', () => {
  const recorder = new TransitionRecorder();
  const rig = (input?: Partial<ConversationInput>) => new ConversationRig(recorder, input);
  let edges: Edge<Snapshot, Step>[];

  before(function () {
    this.timeout(60_000);
    edges = edgesOf(conversationMachine, { input: INPUT, events: stepsFrom, key: keyOf });
  });

  describe('walked through every state and edge', () => {
    it('rests in every state it declares, and in no other', () => {
      const visited = new Set(edges.flatMap(({ from, to }) => [from, to].map(({ value }) => JSON.stringify(value))));
      expect([...visited]).to.have.members(declaredValues(conversationMachine));
      expect(visited.size).to.equal(17);
    });

    it('meets every event in every state', () => {
      const wanted = new Set<string>(OUTSIDE.map(({ type }) => type));
      const met = new Map<string, Set<string>>();
      for (const { from, event } of edges) {
        const value = JSON.stringify(from.value);
        met.set(value, (met.get(value) ?? new Set()).add(event.type));
      }
      for (const value of declaredValues(conversationMachine).filter((name) => name !== '"expired"')) {
        expect([...(met.get(value) ?? [])], value).to.include.members([...wanted, IDLE_DUE]);
      }
    });

    it('has no edge that breaks what a conversation promises', () => {
      for (const edge of edges) assertPromises(edge);
    });

    it('behaves the same when it runs, with timers and calls', async function () {
      this.timeout(30_000);
      // One run per distinct edge between state values, each on its shortest path.
      const distinct = new Map<string, Edge<Snapshot, Step>>();
      for (const edge of edges) {
        const key = JSON.stringify([edge.from.value, edge.event, edge.to.value]);
        if (!distinct.has(key)) distinct.set(key, edge);
      }
      for (const { path } of distinct.values()) await replay(rig(), path);
    });
  });

  describe('when a checkpoint is wanted', () => {
    it('begins at exactly the checkpoint threshold', () => {
      expect(rig().tell(said.completed(699)).where).to.equal('empty/idle');
      expect(rig().tell(said.completed(700)).where).to.equal('empty/running');
    });

    it('names the conversation, the turn and the attempt to whoever performs it, and nothing else', () => {
      const conversation = rig().tell(said.started(), said.completed(700, 42));
      expect(conversation.call.input).to.deep.equal({ conversation: INPUT.id, turn: 42, attempt: 1, replaces: null });
    });

    it('begins once: not again while it runs, nor when it is ready', async () => {
      const conversation = rig().tell(said.completed(700), said.completed(720), said.completed(740));
      expect(conversation.calls).to.have.length(1);
      await conversation.call.complete();
      conversation.tell(said.started(CHECKPOINT), said.completed(780), said.started(CHECKPOINT), said.completed(800));
      expect(conversation.calls).to.have.length(1);
      expect(conversation.where).to.equal('swapReady/idle');
    });

    it('does not begin while a checkpoint of another session covers the history', () => {
      const conversation = rig().tell(said.started(OTHER), said.completed(750));
      expect(conversation.where).to.equal('wal/idle');
      expect(conversation.calls).to.be.empty;
    });

    it('never begins in passthrough', () => {
      const conversation = rig({ checkpoints: false }).tell(
        said.completed(700),
        said.completed(900),
        said.completed(990),
      );
      expect(conversation.where).to.equal('empty/idle');
      expect(conversation.calls).to.be.empty;
    });

    it('never begins before anything is known of the window', () => {
      const conversation = rig().tell({ ...said.completed(700), effectiveWindow: tokens(0) } as ConversationEvent);
      expect(conversation.calls).to.be.empty;
    });
  });

  describe('when a call fails', () => {
    it('tries again after 2 s, then 4 s, and gives up after the third try', async () => {
      const conversation = rig().tell(said.completed(700));
      for (const [attempt, pause] of [2_000, 4_000].entries()) {
        await conversation.call.fail(failure('transient'));
        expect(conversation.where).to.equal('empty/waitingToRetry');
        expect(phaseOf(conversation.snapshot)).to.equal('IDLE');
        conversation.clock.increment(pause - 1);
        expect(conversation.calls).to.have.length(attempt + 1);
        conversation.clock.increment(1);
        expect(conversation.where).to.equal('empty/running');
        expect(conversation.call.input.attempt).to.equal(attempt + 2);
      }
      await conversation.call.fail(failure('transient'));
      expect(conversation.where).to.equal('empty/givenUp');
      conversation.clock.increment(1_000_000);
      conversation.tell(said.started(), said.completed(790), said.started(), said.completed(820));
      expect(conversation.calls).to.have.length(3);
      expect(conversation.context.counters).to.include({ checkpoints: 0, failures: 3 });
    });

    it('waits as long as the API asks in retry-after', async () => {
      const conversation = rig().tell(said.completed(700));
      await conversation.call.fail(failure('transient', 37_000));
      conversation.clock.increment(36_999);
      expect(conversation.calls).to.have.length(1);
      conversation.clock.increment(1);
      expect(conversation.calls).to.have.length(2);
    });

    it('tries an unusable answer again like a transient failure', async () => {
      const conversation = rig().tell(said.completed(700));
      await conversation.call.fail(failure('unusable'));
      conversation.clock.increment(2_000);
      await conversation.call.complete();
      expect(conversation.where).to.equal('wal/idle');
      expect(conversation.context.failure).to.equal(null);
    });

    it('waits for the next turn when the API rejects the request', async () => {
      const conversation = rig().tell(said.completed(700));
      await conversation.call.fail(failure('rejected'));
      expect(conversation.where).to.equal('empty/idle');
      conversation.clock.increment(600_000);
      expect(conversation.calls).to.have.length(1);
      conversation.tell(said.started(), said.completed(710, 8, 13));
      expect(conversation.where).to.equal('empty/running');
      await conversation.call.fail(failure('rejected'));
      conversation.tell(said.completed(720, 9, 15));
      await conversation.call.fail(failure('rejected'));
      conversation.tell(said.completed(730, 10, 17), said.completed(740, 11, 19));
      expect(conversation.calls, 'three tries per crossing of the threshold').to.have.length(3);
    });

    it('never sends the very request again that the API refused', async () => {
      const conversation = rig().tell(said.completed(700, 7, 11));
      await conversation.call.fail(failure('rejected'));
      conversation.tell(said.started(), said.completed(700, 8, 11), said.started(), said.completed(705, 9, 9));
      expect(conversation.where, 'the turn was sent again').to.equal('empty/idle');
      conversation.tell(said.started(), said.completed(710, 10, 12));
      expect(conversation.where, 'it has moved on').to.equal('empty/running');
      await conversation.call.fail(failure('rejected'));
      conversation.tell(said.started(null, false), said.completed(700, 11, 5));
      expect(conversation.where, 'another history').to.equal('empty/running');
      expect(conversation.call.input.attempt).to.equal(1);
    });

    it('goes by the request that was refused, not by a turn that ended meanwhile', async () => {
      const conversation = rig().tell(said.completed(700, 7, 11), said.started(), said.completed(710, 8, 13));
      await conversation.call.fail(failure('rejected'));
      expect(conversation.where).to.equal('empty/idle');
      conversation.tell(said.started(), said.completed(710, 9, 13));
      expect(conversation.where).to.equal('empty/running');
    });

    it('goes by the tries that are configured', async () => {
      const conversation = rig({ maxTries: 1 }).tell(said.completed(700));
      await conversation.call.fail(failure('transient'));
      expect(conversation.where).to.equal('empty/givenUp');
    });

    it('ends trying when the history is too long, until the history is left', async () => {
      const conversation = rig().tell(said.completed(990));
      await conversation.call.fail(failure('too_long'));
      expect(conversation.where).to.equal('empty/givenUp');
      conversation.tell(said.started(), said.completed(991));
      expect(conversation.where).to.equal('empty/givenUp');
      conversation.tell(said.started(null, false));
      expect(conversation.where).to.equal('empty/idle');
      conversation.tell(said.completed(750));
      expect(conversation.call.input.attempt).to.equal(1);
    });

    for (const [what, event] of [
      ['the API compacted it', said.completedByApi()],
      ['it goes on from a summary', said.replaced(false)],
    ] as const) {
      it(`starts afresh after it gave up, when ${what}`, async () => {
        const conversation = rig().tell(said.completed(990));
        await conversation.call.fail(failure('too_long'));
        conversation.tell(event);
        expect(conversation.where).to.equal('empty/idle');
      });
    }

    it('has its own tries for the next crossing, when a larger window put it below the threshold', async () => {
      const conversation = rig().tell(said.completed(700));
      for (const pause of [2_000, 4_000, 0]) {
        await conversation.call.fail(failure('transient'));
        conversation.clock.increment(pause);
      }
      conversation.tell(said.completed(699));
      expect(conversation.where).to.equal('empty/idle');
      expect(conversation.context).to.include({ tries: 0, failure: null });
      conversation.tell(said.completed(701));
      expect(conversation.call.input.attempt).to.equal(1);
      expect(conversation.calls).to.have.length(4);
    });

    it('does not try again what is no longer wanted when the pause is over', async () => {
      const below = rig().tell(said.completed(700));
      await below.call.fail(failure('transient'));
      below.tell(said.completed(100));
      below.clock.increment(2_000);
      expect(below.where).to.equal('empty/idle');
      const covered = rig().tell(said.completed(700));
      await covered.call.fail(failure('transient'));
      covered.tell(said.started(OTHER));
      covered.clock.increment(2_000);
      expect(covered.where).to.equal('wal/idle');
      expect([...below.calls, ...covered.calls]).to.have.length(2);
    });

    it('spends no try on a call that was skipped, and asks again with the next turn', async () => {
      const conversation = rig().tell(said.completed(700));
      for (const used of [710, 720, 730, 740]) {
        await conversation.call.fail(failure('skipped'));
        expect(conversation.where).to.equal('empty/idle');
        conversation.tell(said.completed(used));
        expect(conversation.call.input.attempt).to.equal(1);
      }
      await conversation.call.fail(failure('transient'));
      conversation.clock.increment(2_000);
      await conversation.call.fail(failure('skipped'));
      conversation.clock.increment(1_000_000);
      expect(conversation.where).to.equal('empty/idle');
      conversation.tell(said.completed(750));
      expect(conversation.call.input.attempt, 'after one that was a try').to.equal(2);
      expect(conversation.context.counters).to.include({ failures: 1, skipped: 5 });
    });

    it('takes anything that is thrown for a transient failure', async () => {
      for (const thrown of [undefined, null, 'a word', 7, new Error('plain'), { failure: 'unheard of', message: 3 }]) {
        const conversation = rig().tell(said.completed(700));
        await conversation.call.fail(thrown);
        expect(conversation.where).to.equal('empty/waitingToRetry');
        expect(conversation.context.failure?.kind).to.equal('transient');
        expect(conversation.context.failure?.message).to.be.a('string').and.not.be.empty;
      }
    });
  });

  describe('when its checkpoint ages', () => {
    const NEWER = { id: checkpointId('newer'), anchorMessages: 15, anchorTokens: tokens(801) };
    /** A conversation whose checkpoint, made at 700, has just been outgrown. */
    const aged = async (): Promise<ConversationRig> => {
      const conversation = rig().tell(said.completed(700));
      await conversation.call.complete();
      return conversation.tell(said.started(CHECKPOINT), said.completed(801, 9));
    };

    it('has a newer one computed once the share is outgrown, and not before', async () => {
      const conversation = rig().tell(said.completed(700));
      await conversation.call.complete();
      expect(conversation.tell(said.completed(800)).where).to.equal('swapReady/idle');
      expect(conversation.tell(said.completed(801, 9)).where).to.equal('swapReady/running');
      expect(conversation.call.input).to.deep.equal({
        ...{ conversation: INPUT.id, turn: 9, attempt: 1 },
        replaces: CHECKPOINT.id,
      });
    });

    it('goes by the share that is configured', async () => {
      const conversation = rig({ checkpointRefresh: 0.03 }).tell(said.completed(700));
      await conversation.call.complete();
      expect(conversation.tell(said.completed(730)).where).to.equal('wal/idle');
      expect(conversation.tell(said.completed(731)).where).to.equal('wal/running');
      expect(phaseOf(conversation.snapshot), 'what people see').to.equal('WAL_ACTIVE');
    });

    it('can show the old one at every moment until the newer takes its place', async () => {
      const conversation = await aged();
      expect(conversation.context.checkpoint).to.deep.equal(CHECKPOINT);
      conversation.tell(said.started(CHECKPOINT), said.completed(830));
      expect(conversation.context.checkpoint).to.deep.equal(CHECKPOINT);
      await conversation.call.complete(NEWER);
      expect(conversation.where).to.equal('swapReady/idle');
      expect(conversation.context).to.deep.include({ checkpoint: NEWER, tries: 0, lastRefreshStep: 0 });
      expect(conversation.context.counters.checkpoints).to.equal(2);
      conversation.tell(said.started(NEWER), said.completed(890));
      expect(conversation.calls, 'the newer one is new enough').to.have.length(2);
      conversation.tell(said.started(NEWER), said.completed(902));
      expect(conversation.call.input).to.include({ attempt: 1, replaces: NEWER.id });
    });

    it('serves the old one while the newer is computed, and aborts that once the client took it', async () => {
      const conversation = (await aged()).tell(said.requested(CHECKPOINT), said.served());
      expect(conversation.where).to.equal('served/running');
      conversation.tell(said.replaced(true));
      expect(conversation.where).to.equal('empty/idle');
      expect(conversation.call.signal.aborted).to.equal(true);
    });

    it('keeps the old one when the newer fails, with three tries of its own', async () => {
      const conversation = rig().tell(said.completed(700));
      for (const pause of [2_000, 4_000]) {
        await conversation.call.fail(failure('transient'));
        conversation.clock.increment(pause);
      }
      await conversation.call.complete();
      conversation.tell(said.started(CHECKPOINT), said.completed(801));
      for (const [attempt, pause] of [2_000, 4_000, 0].entries()) {
        expect(conversation.call.input.attempt).to.equal(attempt + 1);
        await conversation.call.fail(failure('transient'));
        conversation.clock.increment(pause);
        expect(conversation.context.checkpoint).to.deep.equal(CHECKPOINT);
      }
      expect(conversation.where).to.equal('swapReady/givenUp');
      conversation.tell(said.started(CHECKPOINT), said.completed(900));
      expect(conversation.calls).to.have.length(6);
    });

    it('keeps the old one when the newer is skipped, and asks again with the next turn', async () => {
      const conversation = await aged();
      await conversation.call.fail(failure('skipped'));
      expect(conversation.where).to.equal('swapReady/idle');
      expect(conversation.context.checkpoint).to.deep.equal(CHECKPOINT);
      conversation.tell(said.started(CHECKPOINT), said.completed(802));
      expect(conversation.call.input).to.include({ attempt: 1, replaces: CHECKPOINT.id });
    });

    it('tries again once one more share has come, unless the history is too long', async () => {
      for (const [kind, calls] of [
        ['transient', 5],
        ['too_long', 2],
      ] as const) {
        const conversation = await aged();
        for (const pause of kind === 'transient' ? [2_000, 4_000, 0] : [0]) {
          await conversation.call.fail(failure(kind));
          conversation.clock.increment(pause);
        }
        expect(conversation.where).to.equal('swapReady/givenUp');
        conversation.tell(said.started(CHECKPOINT), said.completed(901));
        expect(conversation.calls, kind).to.have.length(calls);
        if (kind === 'transient') expect(conversation.call.input.attempt).to.equal(1);
        expect(conversation.context.checkpoint).to.deep.equal(CHECKPOINT);
      }
    });

    it('goes by the age of what a fork computed', () => {
      const conversation = rig().tell(said.started(OTHER), said.completed(750));
      expect(conversation.where).to.equal('wal/idle');
      conversation.tell(said.started(OTHER), said.completed(751));
      expect(conversation.where).to.equal('wal/running');
      expect(conversation.call.input.replaces).to.equal(OTHER.id);
    });

    it('has nothing computed while a served summary waits for its confirmation', async () => {
      const conversation = rig().tell(said.completed(700));
      await conversation.call.complete();
      conversation.tell(said.requested(CHECKPOINT), said.served(), said.completed(820));
      expect(conversation.where).to.equal('served/idle');
      conversation.tell(said.started(CHECKPOINT), said.completed(820));
      expect(conversation.where, 'it was not taken').to.equal('swapReady/running');
    });

    it('does not try again in the moment a summary was served', async () => {
      const conversation = await aged();
      await conversation.call.fail(failure('transient'));
      conversation.tell(said.requested(CHECKPOINT), said.served());
      conversation.clock.increment(2_000);
      expect(conversation.where).to.equal('served/idle');
      expect(conversation.calls).to.have.length(2);
    });

    it('aborts the newer call when the history is rewound to where only the old one covers it', async () => {
      const conversation = (await aged()).tell(said.started(CHECKPOINT, false));
      expect(conversation.call.signal.aborted).to.equal(true);
      expect(conversation.where).to.equal('swapReady/idle');
      expect(conversation.context.checkpoint).to.deep.equal(CHECKPOINT);
    });

    it('is not aged by a smaller count, nor in a window that is not known', async () => {
      const conversation = await aged();
      const context = { ...conversation.context, effectiveWindow: tokens(1_000) };
      const age = (used: number) => refreshStep({ ...context, used: tokens(used) });
      expect([100, 700, 800, 801, 900, 901, 1_001].map(age)).to.deep.equal([0, 0, 0, 1, 1, 2, 3]);
      expect(refreshStep({ ...context, effectiveWindow: tokens(0) })).to.equal(0);
      expect(refreshStep({ ...context, checkpoint: null })).to.equal(0);
    });
  });

  describe('when the history moves', () => {
    it('aborts the running call when the history leaves what it summarises', () => {
      const conversation = rig().tell(said.completed(700));
      const { signal } = conversation.call;
      conversation.tell(said.started(null, true));
      expect(signal.aborted, 'the history goes on').to.equal(false);
      conversation.tell(said.started(null, false));
      expect(signal.aborted, 'the history was left').to.equal(true);
      expect(conversation.where).to.equal('empty/idle');
      expect(conversation.context).to.include({ tries: 0, failure: null });
    });

    it('ignores the result of a call that was aborted', async () => {
      const conversation = rig().tell(said.completed(700));
      conversation.tell(said.started(null, false));
      await conversation.call.complete();
      expect(conversation.where).to.equal('empty/idle');
      expect(conversation.context.counters.checkpoints).to.equal(0);
    });

    it('drops the pause before a retry when the history is left', async () => {
      const conversation = rig().tell(said.completed(700));
      await conversation.call.fail(failure('transient'));
      conversation.tell(said.started(null, false));
      conversation.clock.increment(60_000);
      expect(conversation.calls).to.have.length(1);
    });

    it('empties the buffer on a rewind before the anchor, and fills it again with tries of its own', async () => {
      const conversation = rig().tell(said.completed(700));
      await conversation.call.complete();
      conversation.tell(said.started(null));
      expect(conversation.where).to.equal('empty/idle');
      expect(conversation.context.checkpoint).to.equal(null);
      conversation.tell(said.completed(710));
      expect(conversation.call.input.attempt).to.equal(1);
    });

    it('keeps the checkpoint on a rewind that stays behind the anchor', async () => {
      const conversation = rig().tell(said.completed(700));
      await conversation.call.complete();
      conversation.tell(said.started(CHECKPOINT), said.completed(800), said.started(CHECKPOINT), said.completed(730));
      expect(conversation.where).to.equal('wal/idle');
      expect(conversation.context.checkpoint).to.deep.equal(CHECKPOINT);
    });

    it('keeps checkpoint and conversation when the window changes', async () => {
      const conversation = rig().tell(said.completed(850));
      await conversation.call.complete();
      expect(conversation.where).to.equal('swapReady/idle');
      conversation.tell({ ...said.completed(850), effectiveWindow: tokens(5_000) } as ConversationEvent);
      expect(conversation.where).to.equal('wal/idle');
    });

    for (const [what, event] of [
      ["when the API's own compaction goes through", said.completedByApi()],
      ['when the conversation goes on from a summary', said.replaced(false)],
    ] as const) {
      it(`aborts the running call ${what}`, () => {
        const conversation = rig().tell(said.completed(700), event);
        expect(conversation.call.signal.aborted).to.equal(true);
        expect(conversation.where).to.equal('empty/idle');
      });

      it(`drops the pause before a retry ${what}`, async () => {
        const conversation = rig().tell(said.completed(700));
        await conversation.call.fail(failure('transient'));
        conversation.tell(event);
        conversation.clock.increment(60_000);
        expect(conversation.calls).to.have.length(1);
      });
    }
  });

  describe('when the client compacts', () => {
    const ready = async (used = 700): Promise<ConversationRig> => {
      const conversation = rig().tell(said.completed(used));
      await conversation.call.complete();
      return conversation;
    };

    it('is SWAP_READY from exactly the swap threshold', async () => {
      const conversation = await ready();
      expect(conversation.tell(said.completed(799)).where).to.equal('wal/idle');
      expect(conversation.tell(said.completed(800)).where).to.equal('swapReady/idle');
    });

    it('goes by the thresholds of the launch that the last turn belonged to', async () => {
      const conversation = rig().tell(said.completed(500));
      expect(conversation.where).to.equal('empty/idle');
      conversation.tell(said.completed(500, 8, 11, { checkpoint: 0.4, swap: 0.6 }));
      expect(conversation.where).to.equal('empty/running');
      await conversation.call.complete();
      expect(conversation.tell(said.completed(650, 9, 11, { checkpoint: 0.4, swap: 0.6 })).where).to.equal(
        'swapReady/idle',
      );
      expect(conversation.tell(said.completed(650, 10)).where).to.equal('wal/idle');
    });

    it('is SWAP_READY at once when one turn jumped past both thresholds', async () => {
      expect((await ready(950)).where).to.equal('swapReady/idle');
    });

    it('can be served in WAL_ACTIVE too, and waits for the client to show what it took', async () => {
      const conversation = (await ready()).tell(said.requested(CHECKPOINT), said.served());
      expect(conversation.where).to.equal('served/idle');
      expect(phaseOf(conversation.snapshot)).to.equal('SWAP_READY');
      conversation.tell(said.requested(CHECKPOINT), said.served());
      expect(conversation.where, 'a retry of the client').to.equal('served/idle');
      expect(conversation.context.counters).to.include({ served: 2, confirmed: 0 });
    });

    it('begins anew once the client took the summary', async () => {
      const conversation = (await ready()).tell(said.requested(CHECKPOINT), said.served(), said.replaced(true));
      expect(conversation.where).to.equal('empty/idle');
      expect(conversation.context).to.include({ checkpoint: null, turn: null, used: 0, messages: 0, tries: 0 });
      expect(conversation.context.counters).to.include({ served: 1, confirmed: 1 });
      conversation.tell(said.started(), said.completed(200), said.completed(300), said.completed(700));
      expect(conversation.calls, 'a second cycle').to.have.length(2);
    });

    it('keeps the checkpoint for the next time when the client did not take the summary', async () => {
      const conversation = (await ready(850)).tell(said.requested(CHECKPOINT), said.served(), said.started(CHECKPOINT));
      expect(conversation.where).to.equal('swapReady/idle');
      expect(conversation.context.counters).to.include({ served: 1, confirmed: 0 });
      expect(conversation.context.checkpoint).to.deep.equal(CHECKPOINT);
    });

    it('drops a served checkpoint that the next request has nothing to do with', async () => {
      const conversation = (await ready()).tell(said.served(), said.started(null));
      expect(conversation.where).to.equal('empty/idle');
    });

    it('is served from what a fork computed, whose own call then still counts', async () => {
      const conversation = rig().tell(said.completed(700), said.requested(OTHER), said.served(OTHER));
      expect(conversation.where).to.equal('served/running');
      await conversation.call.complete();
      expect(conversation.where).to.equal('served/idle');
      expect(conversation.context).to.deep.include({ checkpoint: CHECKPOINT, tries: 0 });
      expect(conversation.context.counters.checkpoints).to.equal(1);
    });

    it('counts what went to the API', () => {
      const conversation = rig().tell(said.requested(null), said.forwarded(), said.completedByApi(), said.forwarded());
      expect(conversation.context.counters).to.include({ served: 0, forwarded: 2 });
    });
  });

  describe('when it is compacted and full again at once', () => {
    const compacted = (input?: Partial<ConversationInput>) => rig(input).tell(said.replaced(false), said.started());

    it('is in a loop when one of the next two turns ends over the threshold, and no later', () => {
      expect(compacted().tell(said.completed(700)).context.looping).to.equal(true);
      expect(compacted().tell(said.completed(699), said.completed(700)).context.looping).to.equal(true);
      const third = compacted().tell(said.completed(300), said.completed(500), said.completed(700));
      expect(third.context.looping).to.equal(false);
      expect(third.where).to.equal('empty/running');
      expect(rig().tell(said.started(), said.completed(900)).context.looping, 'never compacted').to.equal(false);
    });

    it('has nothing computed until a turn ends below the threshold, however often it is compacted', () => {
      const conversation = compacted().tell(said.completed(720), said.completed(740, 8, 13));
      conversation.tell(said.completedByApi(), said.replaced(false), said.started(), said.completed(900));
      conversation.tell(said.started(), said.completed(900, 9, 15), said.completed(910, 10, 17), said.completed(700));
      expect(conversation.context.looping).to.equal(true);
      expect(conversation.calls).to.be.empty;
      conversation.tell(said.completed(699));
      expect(conversation.context.looping).to.equal(false);
      conversation.tell(said.started(), said.completed(700));
      expect(conversation.where).to.equal('empty/running');
    });

    it('is none of our business in passthrough', () => {
      const conversation = compacted({ checkpoints: false }).tell(said.completed(900), said.completed(950));
      expect(conversation.context.looping).to.equal(false);
    });
  });

  describe('when nothing happens', () => {
    it('expires after its time to live', () => {
      const conversation = rig();
      conversation.clock.increment(INPUT.ttl - 1);
      expect(conversation.snapshot.status).to.equal('active');
      conversation.clock.increment(1);
      expect(conversation.snapshot.status).to.equal('done');
      expect(conversation.where).to.equal('expired');
    });

    for (const event of OUTSIDE) {
      it(`lives on after ${JSON.stringify({ ...event, at: undefined })}`, () => {
        const conversation = rig();
        conversation.clock.increment(INPUT.ttl - 1);
        conversation.tell(event);
        conversation.clock.increment(INPUT.ttl - 1);
        expect(conversation.snapshot.status).to.equal('active');
        conversation.clock.increment(1);
        expect(conversation.snapshot.status).to.equal('done');
      });
    }

    it('aborts a call that runs when it expires', () => {
      const conversation = rig({ ttl: milliseconds(1_000) }).tell(said.completed(700));
      conversation.clock.increment(1_000);
      expect(conversation.call.signal.aborted).to.equal(true);
    });
  });

  describe('what it remembers', () => {
    it('is small in every state, and made of plain values', () => {
      for (const { to } of edges) {
        expect(JSON.stringify(to.context).length).to.be.below(1_000);
        assertPlain(to.context);
      }
    });

    it('persists small, whatever a call threw, and without a trace of a body', async () => {
      const secret = 'sk-ant-secret and the words of a user';
      const conversation = rig().tell(said.started(), said.completed(700));
      expect(JSON.stringify(conversation.actor.getPersistedSnapshot()).length, 'while a call runs').to.be.below(2_000);
      const thrown = Object.assign(new Error('x'.repeat(1_000_000)), { body: Buffer.from(secret), cause: secret });
      await conversation.call.fail(thrown);
      const persisted = JSON.stringify(conversation.actor.getPersistedSnapshot());
      expect(persisted.length).to.be.below(2_000);
      expect(persisted).not.to.include('secret').and.not.to.include('Buffer');
      conversation.clock.increment(2_000);
      await conversation.call.complete();
      expect(Object.keys(conversation.snapshot.children), 'ended calls').to.be.empty;
    });
  });

  describe('begun from what an earlier process knew', () => {
    const begun = (events: readonly ConversationEvent[]) => {
      const before = rig().tell(...events);
      const persisted = toPersisted(before.snapshot);
      return { before, persisted, after: rig({ persisted }) };
    };

    it('is in the phase again that it was in', () => {
      const covered = said.started(OTHER);
      const ways: readonly (readonly [string, readonly ConversationEvent[]])[] = [
        ['IDLE', [said.started(), said.completed(100)]],
        ['WAL_ACTIVE', [covered, said.completed(710)]],
        ['SWAP_READY', [covered, said.completed(820)]],
        ['SWAP_READY', [covered, said.completed(710), said.requested(OTHER), said.served(OTHER)]],
      ];
      for (const [phase, events] of ways) {
        const { before, after } = begun(events);
        expect([phaseOf(before.snapshot), phaseOf(after.snapshot)]).to.deep.equal([phase, phase]);
        expect(after.where.split('/')[0]).to.equal(before.where.split('/')[0]);
        expect(utilisation(after.context)).to.equal(utilisation(before.context));
        expect(after.context.checkpoint).to.deep.equal(before.context.checkpoint);
        expect(after.context.counters).to.deep.equal(before.context.counters);
      }
    });

    it('remembers the same again, however often', () => {
      const { persisted, after } = begun([said.started(OTHER), said.completed(820), said.served(OTHER)]);
      expect(toPersisted(after.snapshot)).to.deep.equal(persisted);
    });

    it('makes no call from a turn of the earlier process, and the next one with its own', async () => {
      const { before, after } = begun([said.started(), said.completed(720)]);
      expect([before.calls.length, phaseOf(before.snapshot)]).to.deep.equal([1, 'CHECKPOINTING']);
      expect([after.calls.length, phaseOf(after.snapshot)]).to.deep.equal([0, 'IDLE']);
      after.tell(said.started(), said.completed(730, 8));
      expect(after.call.input.turn).to.equal(8);
      await after.call.complete();
      expect(phaseOf(after.snapshot)).to.equal('WAL_ACTIVE');
    });
  });

  describe('its figures', () => {
    it('pauses 2 s, 4 s, 8 s … up to 60 s, or what the API asked for, up to a day', () => {
      const pauses = [1, 2, 3, 4, 5, 6, 60].map((tries) => retryPause({ tries, failure: null }));
      expect(pauses).to.deep.equal([2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
      const asked = (ms: number) =>
        retryPause({ tries: 3, failure: { kind: 'transient', message: '', retryAfter: milliseconds(ms) } });
      expect([0, 90_000, 1e12].map(asked)).to.deep.equal([0, 90_000, 86_400_000]);
    });

    it('adds jitter to every pause, a quarter at most, and never tries before the API asked to', () => {
      for (const retryAfter of [null, milliseconds(30_000)]) {
        const failed = { tries: 2, failure: { kind: 'transient', message: '', retryAfter } } as const;
        const base = retryPause(failed);
        expect([0, 0.5, 0.999].map((dice) => retryPause(failed, dice) / base)).to.deep.equal([1, 1.125, 1.24975]);
      }
    });

    it('uses nothing of a window it does not know', () => {
      expect(utilisation({ used: tokens(5), effectiveWindow: tokens(0) })).to.equal(0);
    });
  });

  describe('all in all', () => {
    it('has taken every transition it declares', () => {
      expect(recorder.missing(conversationMachine)).to.deep.equal([]);
    });
  });
});

/** Replays a path on a running conversation: calls end, clocks advance; after each step both must agree. */
async function replay(conversation: ConversationRig, path: Edge<Snapshot, Step>['path']): Promise<void> {
  for (const { event, to } of path as readonly { event: Step; to: Snapshot }[]) {
    switch (event.type as string) {
      case DONE:
        await conversation.call.complete();
        break;
      case FAILED:
        await conversation.call.fail(event.error);
        break;
      case RETRY_DUE:
        conversation.clock.increment(retryPause(conversation.context));
        break;
      case IDLE_DUE:
        conversation.clock.increment(conversation.context.ttl);
        break;
      default:
        conversation.tell(event);
    }
    expect(conversation.snapshot.value).to.deep.equal(to.value);
    // While time passes to the idle end, a retry may have come due.
    if (to.status === 'active') expect(keyOf(conversation.snapshot)).to.equal(keyOf(to));
    assertPlain(conversation.context);
  }
  await settle();
}

/** What holds for every edge, whatever came before. */
function assertPromises({ from, event, to }: Edge<Snapshot, Step>): void {
  const said = `${JSON.stringify(from.value)} ${JSON.stringify(event)} -> ${JSON.stringify(to.value)}`;
  const step = event;
  if (to.status !== 'active') {
    expect(step.type, said).to.equal(IDLE_DUE);
    return;
  }
  expect(step.type, said).not.to.equal(IDLE_DUE);
  const { context } = to;
  const share = utilisation(context);
  const covering = 'coveringCheckpoint' in step ? step.coveringCheckpoint : undefined;

  // Nothing that happens to a call takes a servable checkpoint away …
  if (!('at' in step) && !isEmpty(from)) expect(isEmpty(to), said).to.equal(false);
  if (step.type === (FAILED as string)) expect(context.checkpoint, said).to.equal(from.context.checkpoint);
  // … and one is known exactly while the buffer is not empty …
  expect(isEmpty(to), said).to.equal(context.checkpoint === null);
  // It can only come from a call that was completed, or from a request that it covers.
  if (isEmpty(from) && !isEmpty(to)) expect(step.type === (DONE as string) || covering === OTHER, said).to.equal(true);
  if (covering !== undefined) expect(isEmpty(to), said).to.equal(covering === null);

  if (to.matches({ alive: { buffer: { ready: 'swapReady' } } })) expect(share, said).to.be.at.least(0.8);
  if (to.matches({ alive: { buffer: { ready: 'wal' } } })) expect(share, said).to.be.below(0.8);

  const begins = isRunning(to) && (!isRunning(from) || context.tries > from.context.tries);
  if (begins) {
    expect(step.type === 'turn.completed' || step.type === (RETRY_DUE as string), said).to.equal(true);
    expect(share, said).to.be.at.least(0.7);
    expect(context.looping, said).to.equal(false);
    // A newer one only for one that has aged, and never while the client may be taking up what it was served.
    if (context.checkpoint !== null) expect(refreshStep(context), said).to.be.above(0);
    expect(to.matches({ alive: { buffer: 'served' } }), said).to.equal(false);
    // Nothing that the API refused is asked again as it was.
    if (from.context.failure?.kind === 'rejected' && step.type === 'turn.completed') {
      expect(context.turnMessages, said).to.be.above(from.context.triedMessages);
    }
  }
  expect(context.tries, said).to.be.at.most(context.maxTries);

  if (step.type === 'turn.started' && !step.continuesCallHistory)
    expect(to.matches({ alive: { call: 'idle' } }), said).to.equal(true);
  if (step.type === 'compaction.completed_by_api') expect(to.matches({ alive: { call: 'idle' } }), said).to.equal(true);
  if (step.type === 'history.replaced') {
    expect(to.matches({ alive: { call: 'idle', buffer: 'empty' } }), said).to.equal(true);
    expect(context, said).to.include({ used: 0, tries: 0, failure: null, turn: null });
  }
  if (step.type === 'conversation.reset') {
    expect(to.matches({ alive: { call: 'idle', buffer: 'empty' } }), said).to.equal(true);
    expect(context, said).to.include({ tries: 0, failure: null, used: from.context.used, turn: from.context.turn });
  }
  if (context.looping) expect(share === 0 || share >= 0.7, said).to.equal(true);
  if (context.looping !== from.context.looping) {
    expect(step.type, said).to.equal('turn.completed');
    if (context.looping) expect(from.context.turnsSinceReplaced, said).to.be.oneOf([0, 1]);
  }
  const served = to.matches({ alive: { buffer: 'served' } });
  if (served && !from.matches({ alive: { buffer: 'served' } })) expect(step.type, said).to.equal('compaction.served');

  const grown = (name: keyof typeof context.counters): number => context.counters[name] - from.context.counters[name];
  expect(grown('checkpoints'), said).to.equal(step.type === (DONE as string) ? 1 : 0);
  const failed = step.type === (FAILED as string) ? (step.error as { failure: CallFailureKind }).failure : null;
  expect(grown('failures'), said).to.equal(failed !== null && failed !== 'skipped' ? 1 : 0);
  expect(grown('skipped'), said).to.equal(failed === 'skipped' ? 1 : 0);
  if (failed === 'skipped') {
    expect(to.matches({ alive: { call: 'idle' } }), said).to.equal(true);
    expect(context, said).to.include({ tries: from.context.tries - 1, failure: from.context.failure });
  }
  expect(grown('forwarded'), said).to.equal(step.type === 'compaction.forwarded' ? 1 : 0);
  expect(grown('served'), said).to.equal(step.type === 'compaction.served' && !isEmpty(from) ? 1 : 0);
  expect(grown('confirmed'), said).to.equal(step.type === 'history.replaced' && step.confirmed ? 1 : 0);
}

/** Fails for anything that JSON would not carry as it is. */
function assertPlain(value: unknown): void {
  expect(structuredClone(value)).to.deep.equal(JSON.parse(JSON.stringify(value)));
}
