import { expect } from 'chai';
import { toPersisted } from '../../../machines/conversation.ts';
import { conversationId } from '../../../machines/units.ts';
import { nullRepository, type ConversationRecord } from '../../../src/conversations/repository.ts';
import { identityOf } from '../../../src/conversations/parsed-request.ts';
import { readMessageRequest, type Message } from '../../../src/wire/message-request.ts';
import { NO_USAGE } from '../../../src/wire/answer-reader.ts';
import { rootOf } from '../../../src/wire/lineage.ts';
import { requestBody } from '../../support/histories.ts';
import { compactionOf, Desk, INSTRUCTION, seenOf, servedText, settle, usageOf, type Asking } from './desk.ts';

const user = (content: Message['content']): Message => ({ role: 'user', content });
const assistant = (content: Message['content']): Message => ({ role: 'assistant', content });

const LOW = 20_000;
const CHECKPOINT = 130_000;
const SWAP = 146_000;
const S1 = conversationId('s1');

const HISTORY = [user('one')];
const LONGER = [...HISTORY, assistant('two'), user('three')];
const LONGEST = [...LONGER, assistant('four'), user('five')];

describe('conversations', () => {
  let desk: Desk;
  beforeEach(() => {
    desk = new Desk();
  });
  afterEach(() => desk.stop());

  const phase = (id = S1): string => desk.conversations.actors.phase(id);
  const context = (id = S1) => desk.conversations.actors.snapshot(id)?.context;
  const checkpointed = async (messages = HISTORY, used = CHECKPOINT): Promise<void> => {
    await desk.turn({ messages }, used);
    desk.pending.succeed('SUMMARY');
    await settle();
  };
  const continued = (summary: string): Message =>
    user(
      `This session is being continued from a previous conversation that ran out of context.\n\nSummary:\n${summary}`,
    );

  it('go from IDLE over CHECKPOINTING and WAL_ACTIVE to SWAP_READY', async () => {
    await desk.turn({ messages: HISTORY }, LOW);
    expect(phase()).to.equal('IDLE');
    await desk.turn({ messages: LONGER }, CHECKPOINT);
    expect(phase()).to.equal('CHECKPOINTING');
    desk.pending.succeed('SUMMARY');
    await settle();
    expect(phase()).to.equal('WAL_ACTIVE');
    await desk.turn({ messages: LONGEST }, SWAP);
    expect(phase()).to.equal('SWAP_READY');
    expect(desk.events('phase.changed').map(({ fields }) => fields['to'])).to.deep.equal([
      'CHECKPOINTING',
      'WAL_ACTIVE',
      'SWAP_READY',
    ]);
    expect(desk.sent).to.have.length(1);
  });

  it('change once for a request that is parsed after its answer, below the threshold and above it', async () => {
    const after = async (messages: readonly Message[], used: number): Promise<number> => {
      const before = desk.published.length;
      const turn = desk.turns.begin(seenOf({ messages }).seen, true);
      desk.turns.complete(turn, usageOf(used));
      await settle();
      return desk.published.slice(before).filter(({ type }) => type === 'conversation.changed').length;
    };
    await after(HISTORY, LOW);
    expect(await after(LONGER, LOW)).to.equal(1);
    expect(context()).to.include({ messages: 3, used: LOW });
    await after(LONGEST, CHECKPOINT);
    expect(phase()).to.equal('CHECKPOINTING');
    expect(context()).to.include({ messages: 5, turnMessages: 5 });
    expect(desk.pending.messages).to.deep.equal(LONGEST);
  });

  it('are IDLE after the first turn that goes on without a summary that an earlier process served and lost', async () => {
    const records: ConversationRecord[] = [];
    desk.stop();
    desk = new Desk(null, 'supervised', {
      ...nullRepository,
      conversationsOf: ({ session }) => records.filter((record) => record.session === session),
    });
    await checkpointed();
    const [checkpoint] = desk.index.checkpoints;
    const snapshot = desk.conversations.actors.snapshot(S1);
    if (checkpoint === undefined || snapshot === undefined) throw new Error('there is no checkpoint');
    const id = conversationId('s2');
    const { seen } = seenOf({ session: 's2', messages: LONGER });
    records.push({
      id,
      session: 's2',
      agent: null,
      roots: [rootOf(seen.history)],
      phase: 'SWAP_READY',
      served: checkpoint.id,
      state: { ...toPersisted(snapshot), checkpoint: null, served: true },
      lastActivity: desk.now(),
    });
    desk.conversations.latestConversationOf({ session: 's2', agent: null });
    expect(phase(id)).to.equal('SWAP_READY');
    const turn = desk.turns.begin(seen, true);
    desk.turns.complete(turn, usageOf(LOW));
    await settle();
    expect([turn.conversation, phase(turn.conversation)]).to.deep.equal([id, 'IDLE']);
  });

  describe('with a checkpoint that has aged', () => {
    const AGED = CHECKPOINT + 18_001;

    it('have a newer one computed from the last turn, and stay servable meanwhile', async () => {
      await checkpointed();
      await desk.turn({ messages: LONGER }, CHECKPOINT + 18_000);
      expect(desk.sent).to.have.length(1);
      await desk.turn({ messages: LONGEST }, AGED);
      expect(desk.sent).to.have.length(2);
      expect(desk.pending.messages).to.deep.equal(LONGEST);
      expect(desk.events('checkpoint.started').at(-1)?.fields['replaces']).to.equal(context()?.checkpoint?.id);
      expect([phase(), context()?.checkpoint?.anchorMessages]).to.deep.equal(['SWAP_READY', 1]);
      desk.pending.succeed('NEWER');
      await settle();
      expect(context()?.checkpoint).to.include({ anchorMessages: 5, anchorTokens: AGED });
      expect(desk.calls.hasStateFor(S1), 'its request is let go').to.equal(false);
    });

    it('keep its request for the next attempt, and release it in the end', async () => {
      await checkpointed();
      await desk.turn({ messages: LONGER }, AGED);
      for (const pause of [2_000, 4_000]) {
        desk.pending.fail(529);
        await settle();
        await desk.pass(pause);
        expect(desk.pending.messages).to.deep.equal(LONGER);
      }
      expect(desk.sent).to.have.length(4);
      desk.pending.succeed('NEWER');
      await settle();
      expect(desk.calls.hasStateFor(S1)).to.equal(false);
    });

    it('abort the call when they are rewound behind the old one, and keep that', async () => {
      await checkpointed();
      await desk.turn({ messages: LONGER }, AGED);
      await desk.turn({ messages: [...HISTORY, assistant('two'), user('something else')] }, CHECKPOINT);
      expect(desk.pending.aborted).to.equal(true);
      expect(context()?.checkpoint?.anchorMessages).to.equal(1);
      expect(desk.sent).to.have.length(2);
    });

    it('know the age of the checkpoint that a fork adopts', async () => {
      await checkpointed();
      const fork = conversationId('fork');
      await desk.turn({ messages: LONGER, session: 'fork' }, CHECKPOINT + 18_000);
      expect(context(fork)?.checkpoint?.anchorTokens).to.equal(CHECKPOINT);
      expect(desk.sent).to.have.length(1);
      await desk.turn({ messages: LONGEST, session: 'fork' }, AGED);
      expect(desk.sent).to.have.length(2);
      expect(context(fork)?.checkpoint?.anchorMessages).to.equal(1);
    });
  });

  it('make no calls while the breaker is open after many failures, and make them again afterwards', async () => {
    const cross = (session: string, messages = [user(session)]) => desk.turn({ messages, session }, CHECKPOINT);
    for (const session of ['a', 'b', 'c', 'd', 'e']) {
      await cross(session);
      desk.pending.breakOff();
      await settle();
    }
    await cross('f');
    await desk.pass(4_000);
    expect(desk.sent, 'neither a new call nor a second try').to.have.length(5);
    expect(desk.events('breaker.opened')).to.have.length(1);
    expect(desk.events('checkpoint.skipped')).to.have.length(6);
    expect(['a', 'f'].map((session) => desk.calls.hasRequest(conversationId(session)))).to.deep.equal([false, false]);
    await desk.pass(120_000);
    await cross('f', [user('f'), assistant('x'), user('y')]);
    await cross('g');
    expect(desk.sent, 'one to try').to.have.length(6);
    desk.pending.succeed('SUMMARY');
    await settle();
    await cross('g', [user('g'), assistant('x'), user('y')]);
    await cross('a', [user('a'), assistant('x'), user('y')]);
    expect(desk.sent).to.have.length(8);
    expect(desk.events('breaker.closed')).to.have.length(1);
  });

  it('have a limited number of simultaneous calls', async () => {
    for (const session of ['a', 'b', 'c', 'd', 'e'])
      await desk.turn({ messages: [user(session)], session }, CHECKPOINT);
    expect(desk.sent).to.have.length(4);
    expect(desk.events('checkpoint.skipped').map(({ fields }) => fields)).to.deep.equal([
      { conversation: 'e', attempt: 1, reason: 'limit' },
    ]);
    desk.pending.succeed('SUMMARY');
    await settle();
    await desk.turn({ messages: [user('e'), assistant('x'), user('y')], session: 'e' }, CHECKPOINT);
    expect(desk.sent).to.have.length(5);
  });

  it('are counted, and expire after two hours', async () => {
    await desk.turn({ messages: HISTORY }, LOW);
    await desk.turn({ messages: HISTORY, session: 's2' }, LOW);
    expect(desk.conversations.actors.size).to.equal(2);
    await desk.pass(7_000_000);
    await desk.turn({ messages: LONGER }, LOW);
    await desk.pass(500_000);
    expect(desk.conversations.actors.size).to.equal(1);
    expect(desk.conversations.latestConversationOf({ session: 's2', agent: null })).to.equal(null);
    expect(desk.conversations.latestConversationOf({ session: 's1', agent: null })).to.equal('s1');
  });

  it('start again after they expired', async () => {
    await checkpointed();
    await desk.pass(8_000_000);
    expect(desk.conversations.actors.size).to.equal(0);
    expect(phase()).to.equal('IDLE');
    // The checkpoint stays until it expires itself.
    expect(servedText(await desk.compact({ messages: LONGER }))).to.include('SUMMARY');
    await desk.turn({ messages: LONGER }, LOW);
    expect(desk.conversations.actors.size).to.equal(1);
  });

  it('abort a running call when they expire', async () => {
    await desk.turn({ messages: HISTORY }, CHECKPOINT);
    await desk.pass(8_000_000);
    expect(desk.pending.aborted).to.equal(true);
    desk.pending.succeed('too late');
    await settle();
    expect(desk.index.size).to.equal(0);
    expect(desk.calls.size).to.equal(0);
  });

  describe('ask for a summary', () => {
    it('with the last request as it was, under its path and with its headers, credentials included', async () => {
      await desk.turn({ messages: LONGER }, CHECKPOINT);
      const { body, request, messages } = desk.pending;
      expect(messages).to.deep.equal(LONGER);
      expect(request).to.include({ method: 'POST', path: '/v1/messages?beta=true' });
      expect(request.headers.join()).to.include('x-api-key,sk-test');
      expect(body).to.include(JSON.stringify(LONGER).slice(1, -1));
    });

    it('at the threshold, and not below it', async () => {
      await desk.turn({ messages: HISTORY }, 125_999);
      expect(desk.sent).to.have.length(0);
      await desk.turn({ messages: LONGER }, 126_000);
      expect(desk.sent).to.have.length(1);
    });

    it('by the window of the model', async () => {
      const long: Partial<Asking> = { model: 'claude-opus-5-5', maxTokens: 128_000 };
      await desk.turn({ messages: HISTORY, ...long }, 600_000);
      expect(desk.sent).to.have.length(0);
      await desk.turn({ messages: HISTORY, ...long }, 690_000);
      expect(desk.sent).to.have.length(1);
      expect(context()).to.include({ effectiveWindow: 980_000, model: 'claude-opus-5-5' });
    });

    it("by the launch's own threshold and window, whatever the proxy's are", async () => {
      const launch = ['x-dbproxy-checkpoint-threshold', '0.5', 'x-dbproxy-compact-window', '200k'];
      const long: Partial<Asking> = { model: 'claude-opus-5-5', maxTokens: 128_000, launch };
      await desk.turn({ messages: HISTORY, ...long }, 89_999);
      expect(desk.sent).to.have.length(0);
      await desk.turn({ messages: LONGER, ...long }, 90_000);
      expect(desk.sent).to.have.length(1);
      expect(context()).to.deep.include({ effectiveWindow: 180_000, thresholds: { checkpoint: 0.5, swap: 0.8 } });
    });

    it('by the long window when more is in use than the short one holds', async () => {
      await desk.turn({ messages: HISTORY }, 250_000);
      expect(context()?.effectiveWindow).to.equal(980_000);
      expect(desk.sent).to.have.length(0);
    });

    it('by an estimate of its text where the API reports no usage, which never widens the window', async () => {
      const turn = async (characters: number): Promise<void> => {
        desk.turns.complete(desk.begin({ messages: [...HISTORY, user('x'.repeat(characters))] }), NO_USAGE);
        await desk.turns.settled(S1);
      };
      await turn(400_000);
      expect(context()?.used).to.be.within(100_000, 101_000);
      expect(desk.sent).to.have.length(0);
      await turn(1_000_000);
      expect(context()).to.include({ effectiveWindow: 180_000, used: 200_000 });
      expect(desk.sent).to.have.length(1);
      expect(desk.events('usage.estimated').map(({ fields }) => fields['used'])).to.include(200_000);
    });

    it('once per conversation, and for several conversations at once', async () => {
      await desk.turn({ messages: HISTORY }, CHECKPOINT);
      await desk.turn({ messages: LONGER }, SWAP);
      expect(desk.sent).to.have.length(1);
      await desk.turn({ messages: HISTORY, session: 's2' }, CHECKPOINT);
      expect(desk.sent).to.have.length(2);
      expect(desk.calls.size).to.equal(2);
    });

    it('once only while a checkpoint covers the history', async () => {
      await checkpointed();
      await desk.turn({ messages: LONGER }, CHECKPOINT);
      await desk.turn({ messages: LONGEST }, SWAP);
      expect(desk.sent).to.have.length(1);
    });

    it('not at all when another session has one already', async () => {
      await checkpointed();
      await desk.turn({ messages: LONGER, session: 'fork' }, CHECKPOINT);
      expect(desk.sent).to.have.length(1);
      expect(phase(conversationId('fork'))).to.equal('WAL_ACTIVE');
    });

    it('again after a failure, with the newest request, after a while', async () => {
      await desk.turn({ messages: HISTORY }, CHECKPOINT);
      desk.pending.fail(529);
      await settle();
      expect(phase()).to.equal('IDLE');
      await desk.turn({ messages: LONGER }, CHECKPOINT);
      expect(desk.sent).to.have.length(1);
      await desk.pass(2_000);
      expect(desk.sent).to.have.length(2);
      expect(desk.pending.messages).to.deep.equal(LONGER);
    });

    it('again when the API says so, and three times at most', async () => {
      await desk.turn({ messages: HISTORY }, CHECKPOINT);
      for (let times = 1; times <= 3; times += 1) {
        expect(desk.sent).to.have.length(times);
        desk.pending.fail(429, 'rate_limit_error', ['retry-after', '30']);
        await settle();
        await desk.pass(29_999);
        expect(desk.sent).to.have.length(times);
        await desk.pass(1);
      }
      await desk.turn({ messages: LONGER }, SWAP);
      await desk.pass(1_000_000);
      expect(desk.sent).to.have.length(3);
      expect(desk.calls.hasRequest(S1)).to.equal(false);
    });

    it('again with the next turn when this request was refused', async () => {
      await desk.turn({ messages: HISTORY }, CHECKPOINT);
      desk.pending.fail(400);
      await settle();
      await desk.pass(100_000);
      expect(desk.sent).to.have.length(1);
      await desk.turn({ messages: HISTORY }, CHECKPOINT);
      expect(desk.sent, 'the same request').to.have.length(1);
      expect(desk.calls.hasRequest(S1)).to.equal(false);
      await desk.turn({ messages: LONGER }, CHECKPOINT);
      expect(desk.sent).to.have.length(2);
    });

    it('again with three attempts when a history that was given up is replaced', async () => {
      for (const [status, type] of [
        [400, 'prompt is too long'],
        [529, 'overloaded_error'],
      ] as const) {
        const world = new Desk();
        await world.turn({ messages: LONGER }, CHECKPOINT);
        for (const pause of status === 400 ? [0] : [2_000, 4_000, 0]) {
          world.pending.fail(status, type);
          await settle();
          await world.pass(pause);
        }
        const { length } = world.sent;
        await world.turn({ messages: LONGEST }, SWAP);
        expect(world.sent, 'given up').to.have.length(length);
        await world.turn({ messages: [...HISTORY, assistant('two'), user('something else')] }, CHECKPOINT);
        expect(world.sent, 'rewound').to.have.length(length + 1);
        expect(world.events('checkpoint.started').at(-1)?.fields).to.include({ attempt: 1 });
        world.stop();
      }
    });

    it('never again in this history when it no longer fits', async () => {
      await desk.turn({ messages: HISTORY }, SWAP);
      desk.pending.fail(400, 'prompt is too long: 1 tokens > 0 maximum');
      await settle();
      await desk.turn({ messages: LONGER }, SWAP);
      await desk.pass(100_000);
      expect(desk.sent).to.have.length(1);
    });

    it('not of a history that cannot be read', async () => {
      await desk.turn(
        { messages: [...HISTORY, { role: 'assistant', content: null } as unknown as Message, user('x')] },
        CHECKPOINT,
      );
      expect(desk.sent).to.have.length(0);
      expect(phase()).to.equal('IDLE');
    });

    it('not of a turn whose answer never ended', () => {
      desk.begin({ messages: HISTORY });
      expect(desk.sent).to.have.length(0);
    });
  });

  describe('that were rewound or edited', () => {
    it('abort a call about another history', async () => {
      await desk.turn({ messages: LONGER }, CHECKPOINT);
      const first = desk.pending;
      await desk.turn({ messages: [...HISTORY, assistant('two'), user('something else')] }, LOW);
      expect(first.aborted).to.equal(true);
      first.succeed('too late');
      await settle();
      expect(desk.index.size).to.equal(0);
      expect(phase()).to.equal('IDLE');
    });

    it('keep a call about a beginning of their history', async () => {
      await desk.turn({ messages: LONGER }, CHECKPOINT);
      await desk.turn({ messages: [...LONGER, assistant('x'), user('y')] }, CHECKPOINT);
      expect(desk.pending.aborted).to.equal(false);
    });

    it('lose a checkpoint when they are rewound to before it, and get another', async () => {
      await checkpointed(LONGER);
      await desk.turn({ messages: HISTORY }, LOW);
      expect(phase()).to.equal('IDLE');
      await desk.turn({ messages: [...HISTORY, assistant('other'), user('way')] }, CHECKPOINT);
      expect(desk.sent).to.have.length(2);
    });

    it('find it again when they come back', async () => {
      await checkpointed(LONGER);
      await desk.turn({ messages: HISTORY }, LOW);
      await desk.turn({ messages: LONGEST }, CHECKPOINT);
      expect(phase()).to.equal('WAL_ACTIVE');
      expect(desk.sent).to.have.length(1);
    });
  });

  describe('that were compacted', () => {
    it('go on from the summary that was served, and say so', async () => {
      await checkpointed();
      const summary = servedText(await desk.compact({ messages: LONGER }));
      expect(phase()).to.equal('SWAP_READY');
      await desk.turn({ messages: [continued(summary), assistant('two'), user('next')], compacted: true }, LOW);
      expect(desk.events('history.replaced').map(({ fields }) => fields)).to.deep.equal([
        { conversation: 's1', confirmed: true },
      ]);
      expect(phase()).to.equal('IDLE');
      expect(context()?.counters).to.include({ served: 1, confirmed: 1 });
    });

    it('are recognised by the text of the summary when the client sends no headers', async () => {
      await checkpointed();
      const summary = servedText(await desk.compact({ messages: LONGER, class: null }, { merged: true })).replace(
        /\n+/g,
        '\n\n',
      );
      await desk.turn({ messages: [continued(summary), user('next')], class: null }, LOW);
      expect(desk.events('history.replaced').map(({ fields }) => fields)).to.deep.equal([
        { conversation: 's1', confirmed: true },
      ]);
    });

    it('also when another conversation of the session had a turn in between (older clients)', async () => {
      await desk.turn({ messages: HISTORY, class: null }, CHECKPOINT);
      desk.pending.succeed('SUMMARY');
      await settle();
      await desk.turn({ messages: [user('Warmup')], class: null }, LOW);
      const summary = servedText(await desk.compact({ messages: LONGER, class: null }));
      const next = await desk.turn({ messages: [continued(summary), user('next')], class: null }, LOW);
      expect(next).to.equal(S1);
      expect(desk.events('history.replaced').map(({ fields }) => fields)).to.deep.equal([
        { conversation: 's1', confirmed: true },
      ]);
    });

    it('go on from a summary of the API’s own', async () => {
      await desk.turn({ messages: HISTORY }, LOW);
      await desk.compact({ messages: LONGER });
      desk.compactions.completeByApi(S1);
      await desk.turn({ messages: [continued('the API wrote this'), user('next')], compacted: true }, LOW);
      expect(desk.events('history.replaced').map(({ fields }) => fields)).to.deep.equal([
        { conversation: 's1', confirmed: false },
      ]);
    });

    it('keep their checkpoint when the client does not use the summary', async () => {
      await checkpointed();
      await desk.compact({ messages: LONGER });
      await desk.turn({ messages: LONGEST }, SWAP);
      expect(phase()).to.equal('SWAP_READY');
      expect(servedText(await desk.compact({ messages: LONGEST }))).to.include('SUMMARY');
      expect(desk.events('history.replaced')).to.have.length(0);
    });

    it('are checkpointed and compacted a second time', async () => {
      await checkpointed();
      const first = servedText(await desk.compact({ messages: LONGER }));
      const second = [continued(first), assistant('two'), user('next')];
      await desk.turn({ messages: second, compacted: true }, LOW);
      await desk.turn({ messages: second }, LOW);
      await desk.turn({ messages: [...second, assistant('a'), user('b')] }, CHECKPOINT);
      expect(desk.sent).to.have.length(2);
      desk.pending.succeed('SECOND');
      await settle();
      const text = servedText(await desk.compact({ messages: [...second, assistant('a'), user('b'), assistant('c')] }));
      expect(text)
        .to.match(/SECOND[^]*\nc\n/)
        .and.not.include('SUMMARY');
    });

    it('abort their call when the API wrote the summary', async () => {
      await desk.turn({ messages: HISTORY }, CHECKPOINT);
      await desk.compact({ messages: LONGER }, { words: 'short' });
      desk.compactions.completeByApi(S1);
      await settle();
      expect(desk.pending.aborted).to.equal(true);
    });

    it('by the client ahead of time keep their state (2.1.330 can precompute)', async () => {
      await checkpointed();
      await desk.compact({ messages: LONGER });
      expect(servedText(await desk.compact({ messages: LONGER }))).to.include('SUMMARY');
      await desk.turn({ messages: LONGEST }, CHECKPOINT);
      expect(phase()).to.equal('WAL_ACTIVE');
    });
  });

  describe('of agents', () => {
    it('are conversations of their own, with the parent’s session', async () => {
      await checkpointed();
      const agent = await desk.turn({ messages: [user('look into it')], agent: 'a1', class: 'subagent' }, CHECKPOINT);
      expect(agent).to.equal('s1.a1');
      expect(desk.sent).to.have.length(2);
      expect(phase()).to.equal('WAL_ACTIVE');
      expect(phase(agent)).to.equal('CHECKPOINTING');
    });

    it('compact for themselves', async () => {
      const agent = { agent: 'a1', class: 'subagent' } as const;
      await checkpointed();
      await desk.turn({ messages: [user('look into it')], ...agent }, CHECKPOINT);
      desk.pending.succeed('OF THE AGENT');
      await settle();
      const outcome = await desk.compact({ messages: [user('look into it'), assistant('yes')], agent: 'a1' });
      expect(servedText(outcome)).to.include('OF THE AGENT');
      expect(outcome.conversation).to.equal('s1.a1');
      await desk.turn({ messages: [continued(servedText(outcome)), user('next')], ...agent }, LOW);
      expect(desk.events('history.replaced').map(({ fields }) => fields)).to.deep.equal([
        { conversation: 's1.a1', confirmed: true },
      ]);
      expect(phase()).to.equal('WAL_ACTIVE');
    });

    it('that are forks of the main history share what was computed for it', async () => {
      await checkpointed();
      const outcome = await desk.compact({
        messages: [...LONGER, assistant('x'), user('<fork-boilerplate>…')],
        agent: 'fork',
      });
      expect(servedText(outcome)).to.include('SUMMARY');
    });

    it('without headers do not disturb the main history (older clients)', async () => {
      await desk.turn({ messages: HISTORY, class: null }, CHECKPOINT);
      desk.pending.succeed('SUMMARY');
      await settle();
      await desk.turn({ messages: [user('Warmup')], class: null }, LOW);
      expect(phase()).to.equal('WAL_ACTIVE');
      expect(servedText(await desk.compact({ messages: LONGER, class: null }))).to.include('SUMMARY');
    });
  });

  it('ignore unknown events and unknown conversations', async () => {
    await checkpointed();
    desk.conversations.actors.send(S1, { type: 'no.such.event' } as never);
    desk.conversations.actors.send(conversationId('nobody'), { type: 'compaction.completed_by_api', at: desk.now() });
    expect(phase()).to.equal('WAL_ACTIVE');
    expect(phase(conversationId('nobody'))).to.equal('IDLE');
  });

  it('are not affected by one that fails, which starts again', async () => {
    await checkpointed();
    await desk.turn({ messages: HISTORY, session: 's2' }, LOW);
    const broken = {
      type: 'history.replaced',
      at: desk.now(),
      get confirmed(): boolean {
        throw new Error('made for a test');
      },
    } as const;
    desk.conversations.actors.send(S1, broken);
    await settle();
    expect(desk.events('conversation.failed').map(({ fields }) => fields)).to.deep.equal([
      { conversation: 's1', message: 'made for a test' },
    ]);
    expect(desk.conversations.actors.size).to.equal(1);
    expect(await desk.turn({ messages: LONGER }, CHECKPOINT)).to.equal(S1);
    expect(desk.conversations.actors.size).to.equal(2);
    expect(phase()).to.equal('WAL_ACTIVE');
  });

  it('know which of them has a checkpoint at stake', async () => {
    const { conversations, turns } = desk;
    await desk.turn({ messages: HISTORY }, LOW);
    expect(turns.hasCheckpointAtStake(S1), 'idle').to.equal(false);
    await desk.turn({ messages: LONGER }, CHECKPOINT);
    expect(turns.hasCheckpointAtStake(S1), 'with a call').to.equal(true);
    desk.pending.succeed('SUMMARY');
    await settle();
    expect(turns.hasCheckpointAtStake(S1), 'with a checkpoint').to.equal(true);
    const other = conversations.latestConversationOf({ session: 's1', agent: null });
    await desk.turn({ messages: [user('other')] }, LOW);
    expect(other).to.equal(S1);
    const after = conversations.latestConversationOf({ session: 's1', agent: null });
    expect(after !== null && turns.hasCheckpointAtStake(after), 'another history').to.equal(false);
  });

  it('know when nothing can be served', async () => {
    expect(desk.compactions.canServe).to.equal(false);
    await desk.turn({ messages: HISTORY }, CHECKPOINT);
    expect(desk.compactions.canServe).to.equal(true);
    desk.pending.fail(400);
    await settle();
    expect(desk.compactions.canServe).to.equal(false);
    await desk.turn({ messages: LONGER }, CHECKPOINT);
    desk.pending.succeed('SUMMARY');
    await settle();
    expect(desk.compactions.canServe).to.equal(true);
  });

  it('log no message text and no credential', async () => {
    await desk.turn({ messages: [user('SECRET')] }, CHECKPOINT);
    desk.pending.succeed('SECRET');
    await settle();
    await desk.compact({ messages: [user('SECRET'), assistant('SECRET')] });
    await desk.turn({ messages: [user('SECRET'), assistant('SECRET'), user('SECRET')] }, SWAP);
    expect(desk.log.length).to.be.greaterThan(5);
    expect(JSON.stringify(desk.log)).not.to.match(/SECRET|sk-test/);
  });

  it('keep no message text in their machines', async () => {
    await desk.turn({ messages: [user('SECRET')] }, CHECKPOINT);
    const running = JSON.stringify(desk.conversations.actors.snapshot(S1));
    desk.pending.succeed('SECRET');
    await settle();
    for (const snapshot of [running, JSON.stringify(desk.conversations.actors.snapshot(S1))]) {
      expect(snapshot)
        .to.include('"used"')
        .and.not.match(/SECRET|sk-test|summary/i);
    }
  });

  it('release requests that are no longer needed', async () => {
    await desk.turn({ messages: HISTORY }, LOW);
    expect(desk.calls.hasStateFor(S1)).to.equal(false);
    await desk.turn({ messages: LONGER }, CHECKPOINT);
    expect(desk.calls.hasStateFor(S1)).to.equal(true);
    desk.pending.succeed('SUMMARY');
    await settle();
    expect(desk.calls.hasStateFor(S1)).to.equal(false);
    await desk.turn({ messages: LONGEST }, SWAP);
    expect(desk.calls.hasStateFor(S1)).to.equal(false);
  });

  it('reserve memory for a request from the end of its answer until it is no longer needed', async () => {
    const turn = desk.begin({ messages: HISTORY });
    desk.turns.complete(turn, usageOf(130_000));
    // Its history is still being read.
    const { length } = turn.parsed.body;
    expect([desk.calls.hasRequest(S1), desk.budget.used]).to.deep.equal([false, length]);
    await settle();
    expect([desk.calls.hasRequest(S1), desk.budget.used]).to.deep.equal([true, length]);
    desk.pending.succeed('SUMMARY');
    await settle();
    expect(desk.budget.used).to.equal(0);
    const unknown = [...HISTORY, { role: 'user', content: 7 } as unknown as Message];
    await desk.turn({ messages: unknown, session: 's2' }, 130_000);
    expect(desk.budget.used, 'of a history that cannot be read').to.equal(0);
  });

  describe('reset by hand', () => {
    it('lose their checkpoint, and begin again with the next turn', async () => {
      await checkpointed();
      expect(desk.conversations.reset(S1)).to.equal(true);
      expect([phase(), desk.index.size, context()?.used]).to.deep.equal(['IDLE', 0, CHECKPOINT]);
      const outcome = await desk.compact({ messages: LONGER });
      expect(outcome).to.include({ kind: 'forward', reason: 'no_checkpoint' });
      await desk.turn({ messages: LONGER }, CHECKPOINT);
      expect([phase(), desk.sent.length]).to.deep.equal(['CHECKPOINTING', 2]);
    });

    it('abort a running call, whose summary is ignored', async () => {
      await desk.turn({ messages: HISTORY }, CHECKPOINT);
      const call = desk.pending;
      desk.conversations.reset(S1);
      expect(call.aborted).to.equal(true);
      call.succeed('LATE');
      await settle();
      expect([phase(), desk.index.size, desk.calls.hasStateFor(S1)]).to.deep.equal(['IDLE', 0, false]);
    });

    it('forget failures, so that a call that was given up is tried again', async () => {
      await desk.turn({ messages: HISTORY }, CHECKPOINT);
      desk.pending.fail(400, 'invalid_request_error');
      await settle();
      expect(context()?.failure?.kind).to.equal('rejected');
      desk.conversations.reset(S1);
      expect(context()).to.include({ failure: null, tries: 0 });
    });

    it('keep the checkpoints of others, and ignore an unknown conversation', async () => {
      await checkpointed();
      await desk.turn({ messages: [user('another')], session: 's2' }, CHECKPOINT);
      desk.pending.succeed('ANOTHER');
      await settle();
      expect(desk.conversations.reset(conversationId('s3'))).to.equal(false);
      desk.conversations.reset(S1);
      expect([phase(), phase(conversationId('s2')), desk.index.size]).to.deep.equal(['IDLE', 'WAL_ACTIVE', 1]);
    });
  });

  it('publish what happens to them, from their first request to their end', async () => {
    await checkpointed();
    await desk.compact({ messages: LONGER });
    await desk.turn({ messages: HISTORY, session: 's1', agent: 'a', class: 'subagent' }, LOW);
    desk.conversations.reset(S1);
    await desk.pass(7_200_000);
    const types = desk.published.flatMap(({ type }) => (type === 'conversation.changed' ? [] : [type]));
    expect(types).to.deep.equal([
      'conversation.opened',
      'history.received',
      'checkpoint.started',
      'phase.changed',
      'checkpoint.completed',
      'phase.changed',
      'history.received',
      'phase.changed',
      'compaction.served',
      'conversation.opened',
      'history.received',
      'phase.changed',
      'checkpoint.deleted',
      'conversation.reset',
      'conversation.closed',
      'conversation.closed',
    ]);
    const parents = desk.published.flatMap((fact) => (fact.type === 'history.received' ? [fact.parent] : []));
    expect(parents).to.deep.equal([null, null, S1]);
    const served = desk.published.find(({ type }) => type === 'compaction.served');
    expect(served).to.include({ conversation: S1, messages: 3, recentMessages: 2, waited: 0 });
  });

  it('read the client from the headers first, then from the body', () => {
    const { seen } = seenOf({ messages: HISTORY, session: 'in the header', agent: 'a' });
    expect(identityOf(seen)).to.deep.equal({ session: 'in the header', agent: 'a' });
    const { seen: old } = seenOf({ messages: HISTORY, session: 'in the body', class: null });
    expect(identityOf(old)).to.deep.equal({ session: 'in the body', agent: null });
    const nobody = { ...old.labels, session: null };
    const anonymous = readMessageRequest(requestBody(HISTORY));
    if (anonymous === null) throw new Error('this is no message request');
    expect(identityOf({ labels: nobody, request: anonymous })).to.deep.equal({ session: null, agent: null });
  });

  it('recognise the client’s own instruction', () => {
    expect(compactionOf(HISTORY, 'words', true)).to.deep.equal([
      user([
        { type: 'text', text: 'one' },
        { type: 'text', text: `${INSTRUCTION}\n\nAdditional Instructions:\nwords` },
      ]),
    ]);
  });
});
