import { expect } from 'chai';
import { checkpointId, conversationId } from '../../../machines/units.ts';
import { ServedSummaryTracker } from '../../../src/compaction/served-summary-tracker.ts';

const S1 = conversationId('s1');
const CP = checkpointId('cp-1');
const SUMMARY = `We  mended the\nparser. <summary> is a tag. ${'And more. '.repeat(60)}`;

describe('the tracker of served summaries', () => {
  let tracker: ServedSummaryTracker;
  beforeEach(() => {
    tracker = new ServedSummaryTracker();
  });

  it('recognises a served summary, however the client has reflowed and escaped it', () => {
    tracker.add(S1, { id: CP, summary: SUMMARY });
    const reflowed = SUMMARY.replace(/\s+/g, '\n  ').replace('<summary>', '&lt;summary&gt;');
    expect(tracker.isServedSummary(S1, `Summary:\n${reflowed}`)).to.equal(true);
    expect(tracker.isServedSummary(S1, 'Another summary, by somebody else.')).to.equal(false);
    expect(tracker.isServedSummary(S1, null)).to.equal(false);
    expect(tracker.isServedSummary(conversationId('s2'), reflowed)).to.equal(false);
  });

  it('knows the checkpoint of the summary until the history is replaced', () => {
    tracker.add(S1, { id: CP, summary: SUMMARY });
    expect(tracker.pendingFor(S1)).to.equal(CP);
    expect(tracker.replaceHistory(S1)).to.equal(true);
    expect(tracker.pendingFor(S1)).to.equal(null);
    expect(tracker.replaceHistory(S1)).to.equal(false);
  });

  it('knows the first turn of a new history', () => {
    expect(tracker.completeTurn(S1)).to.equal(false);
    tracker.replaceHistory(S1);
    expect([tracker.completeTurn(S1), tracker.completeTurn(S1)]).to.deep.equal([true, false]);
  });

  it('forgets all of a conversation', () => {
    tracker.replaceHistory(S1);
    tracker.add(S1, { id: CP, summary: SUMMARY });
    tracker.forget(S1);
    expect([tracker.completeTurn(S1), tracker.pendingFor(S1)]).to.deep.equal([false, null]);
  });
});
