import { expect } from 'chai';
import { conversationId } from '../../../machines/units.ts';
import { nullRepository, type CompactionRecord, type CompactionUpdate } from '../../../src/conversations/repository.ts';
import type { Message } from '../../../src/wire/message-request.ts';
import { Desk, servedText, settle } from '../conversations/desk.ts';

const S1 = conversationId('s1');
const LOW = 20_000;
const CHECKPOINT = 130_000;
const MODEL = 'claude-sonnet-4-6';

const user = (content: string): Message => ({ role: 'user', content });
const HISTORY = [user('one')];
const LONGER = [...HISTORY, user('two')];
const continued = (summary: string): Message[] => [
  user(`This session is being continued from a previous conversation that ran out of context.\n\nSummary:\n${summary}`),
  user('next'),
];

describe('the records of compactions', () => {
  let desk: Desk;
  let records: CompactionRecord[];
  let updates: CompactionUpdate[];
  beforeEach(() => {
    records = [];
    updates = [];
    desk = new Desk(null, 'supervised', {
      ...nullRepository,
      addCompaction: (record) => records.push(record),
      updateCompaction: (update) => updates.push(update),
    });
  });
  afterEach(() => desk.stop());

  /** The summary that a compaction is served with. */
  async function served(): Promise<string> {
    await desk.turn({ messages: HISTORY }, CHECKPOINT);
    desk.pending.succeed('SUMMARY');
    await settle();
    return servedText(await desk.compact({ messages: LONGER }));
  }

  it('say how each of them ended, under an id of its own', async () => {
    await desk.turn({ messages: HISTORY }, LOW);
    await desk.compact({ messages: LONGER });
    await served();
    const [forwarded, second] = records;
    const where = { conversation: S1, at: 0, model: MODEL, waited: 0, saved: second?.saved };
    expect(forwarded).to.deep.equal({
      ...where,
      id: forwarded?.id,
      outcome: 'forwarded',
      reason: 'no_checkpoint',
      checkpoint: null,
      tokensBefore: LOW,
      saved: 0,
    });
    expect(second).to.deep.equal({
      ...where,
      id: second?.id,
      outcome: 'served',
      reason: null,
      checkpoint: desk.index.checkpoints[0]?.id,
      tokensBefore: CHECKPOINT,
    });
    expect(new Set(records.map(({ id }) => id))).to.have.property('size', 2);
  });

  it('say whether a served summary was used, and the usage of the first turn after it', async () => {
    const summary = await served();
    await desk.turn({ messages: LONGER }, CHECKPOINT);
    expect(updates).to.deep.equal([{ conversation: S1, confirmed: false }]);
    await desk.turn({ messages: continued(summary) }, 12);
    await desk.turn({ messages: [...continued(summary), user('more')] }, 13);
    expect(updates.slice(1)).to.deep.equal([
      { conversation: S1, confirmed: true },
      { conversation: S1, tokensAfter: 12 },
    ]);
  });

  it('say of a history that the API summarised only how small it is, and nothing of a conversation that is gone', async () => {
    await desk.turn({ messages: HISTORY }, LOW);
    await desk.turn({ messages: continued('of the API'), compacted: true }, 12);
    desk.begin({ messages: continued('of the API once more'), compacted: true });
    await desk.pass(8_000_000);
    await desk.turn({ messages: HISTORY }, 13);
    expect(updates).to.deep.equal([{ conversation: S1, tokensAfter: 12 }]);
  });
});
