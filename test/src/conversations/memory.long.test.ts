/** What an idle conversation leaves in memory: little, however long it was, and not more with every turn. */
import { expect } from 'chai';
import { ConversationViews } from '../../../src/dashboard/conversation-views.ts';
import type { Message } from '../../../src/wire/message-request.ts';
import { bytesInUse } from '../../support/heap.ts';
import { Desk, settle } from './desk.ts';

const CONVERSATIONS = 100;
/** Until the code that they run through has been compiled. */
const WARM = 50;
const KB = 1_024;
const SUMMARY = 'What was said, in short. '.repeat(120);

const opening = (session: string): Message[] => [
  { role: 'user', content: `Look after the parser of ${session}.` },
  { role: 'assistant', content: [{ type: 'text', text: 'All right.' }] },
  { role: 'user', content: 'Go on.' },
];

describe('the memory of an idle conversation', () => {
  let desk: Desk;
  let open = 0;
  beforeEach(() => {
    desk = new Desk();
    const views = new ConversationViews({
      now: () => desk.now(),
      checkpoint: (id) => desk.index.get(id),
      onChange: () => undefined,
    });
    desk.facts.subscribe((fact) => views.onFact(fact));
  });
  afterEach(() => desk.stop());

  /** What the desk has noted for tests is none of the proxy's. */
  function kept(): number {
    for (const notes of [desk.log, desk.sent, desk.published]) notes.length = 0;
    return bytesInUse();
  }

  /** Bytes that each of so many new conversations adds, in which `talk` happens. */
  async function perConversation(talk: (session: string) => Promise<void>): Promise<number> {
    const converse = async (count: number): Promise<void> => {
      for (let at = 0; at < count; at += 1) await talk(`idle-${(open += 1)}`);
    };
    await converse(WARM);
    const before = kept();
    await converse(CONVERSATIONS);
    return (kept() - before) / CONVERSATIONS;
  }

  async function turns(session: string, count: number): Promise<void> {
    const messages = opening(session);
    for (let at = 0; at < count; at += 1) await desk.turn({ messages, session }, 20_000 + at);
  }

  it('is a few KB', async () => {
    expect(await perConversation((session) => turns(session, 3))).to.be.below(16 * KB);
  });

  it('does not grow by much with its turns', async () => {
    const few = await perConversation((session) => turns(session, 3));
    const many = await perConversation((session) => turns(session, 203));
    expect((many - few) / 200, 'bytes per turn').to.be.below(32);
  }).timeout(30_000);

  it('is that and the summary once it has a checkpoint', async () => {
    const checkpoint = async (session: string): Promise<void> => {
      await desk.turn({ messages: opening(session), session }, 130_000);
      desk.pending.succeed(SUMMARY);
      await settle();
      expect(desk.index.size).to.be.above(0);
    };
    expect(await perConversation(checkpoint)).to.be.below(SUMMARY.length + 16 * KB);
  });
});
