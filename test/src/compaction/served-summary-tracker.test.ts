import { expect } from 'chai';
import { checkpointId, conversationId, timestamp, tokens } from '../../../machines/units.ts';
import { ServedSummaryTracker } from '../../../src/compaction/served-summary-tracker.ts';
import type { CompactionRecord, CompactionUpdate } from '../../../src/conversations/repository.ts';

const S1 = conversationId('s1');
const CP = checkpointId('cp-1');
const SUMMARY = `We  mended the\nparser. <summary> is a tag. ${'And more. '.repeat(60)}`;

describe('the notes of compactions', () => {
  let notes: ServedSummaryTracker;
  let records: CompactionRecord[];
  let sequels: CompactionUpdate[];
  beforeEach(() => {
    records = [];
    sequels = [];
    notes = new ServedSummaryTracker({
      compacted: (record) => records.push(record),
      updateCompaction: (sequel) => sequels.push(sequel),
    });
  });

  it('hold what became of each, under a name of its own', () => {
    const where = { conversation: S1, at: timestamp(5), model: 'm', tokensBefore: tokens(9) };
    notes.note({ ...where, outcome: 'forwarded', reason: 'stale' });
    notes.note({ ...where, outcome: 'served', checkpoint: CP });
    const nothing = { reason: null, checkpoint: null, waited: 0, saved: 0 };
    const [forwarded, served] = records;
    expect(forwarded).to.deep.equal({ id: forwarded?.id, ...where, ...nothing, outcome: 'forwarded', reason: 'stale' });
    expect(served).to.deep.equal({ id: served?.id, ...where, ...nothing, outcome: 'served', checkpoint: CP });
    expect(new Set(records.map(({ id }) => id))).to.have.property('size', 2);
  });

  it('know a served summary again, however the client has reflowed and escaped it', () => {
    notes.noteServed(S1, { id: CP, summary: SUMMARY });
    const reflowed = SUMMARY.replace(/\s+/g, '\n  ').replace('<summary>', '&lt;summary&gt;');
    expect(notes.isServed(S1, `Summary:\n${reflowed}`)).to.equal(true);
    expect(notes.isServed(S1, 'Another summary, by somebody else.')).to.equal(false);
    expect(notes.isServed(S1, null)).to.equal(false);
    expect(notes.isServed(conversationId('s2'), reflowed)).to.equal(false);
  });

  it('tell whether it was taken, and what the first turn after it used', () => {
    notes.noteServed(S1, { id: CP, summary: SUMMARY });
    notes.noteContinued(S1);
    expect(notes.servedTo(S1)).to.equal(CP);
    notes.noteReplaced(S1, true);
    expect(notes.servedTo(S1)).to.equal(null);
    notes.noteCompleted(S1, tokens(12));
    notes.noteCompleted(S1, tokens(13));
    notes.noteContinued(S1);
    expect(sequels).to.deep.equal([
      { conversation: S1, confirmed: false },
      { conversation: S1, confirmed: true },
      { conversation: S1, tokensAfter: 12 },
    ]);
  });

  it('tell of a history replaced by the API only how small it is, and nothing of one that is gone', () => {
    notes.noteReplaced(S1, false);
    notes.noteCompleted(S1, tokens(12));
    notes.noteReplaced(S1, false);
    notes.noteServed(S1, { id: CP, summary: SUMMARY });
    notes.forget(S1);
    notes.noteCompleted(S1, tokens(13));
    notes.noteContinued(S1);
    expect(sequels).to.deep.equal([{ conversation: S1, tokensAfter: 12 }]);
  });
});
