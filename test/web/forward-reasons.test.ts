import { expect } from 'chai';
import { FORWARD_REASONS } from '../../machines/conversation-events.ts';
import { forwardReasonText } from '../../web/forward-reasons.ts';

describe('the wording of forward reasons', () => {
  it('has a text of its own for every reason', () => {
    const texts = FORWARD_REASONS.map(forwardReasonText);
    expect(new Set(texts).size).to.equal(FORWARD_REASONS.length);
    for (const [index, reason] of FORWARD_REASONS.entries()) {
      expect(texts[index]).not.to.equal(reason.replaceAll('_', ' '));
    }
  });

  it('shows a reason of another version as it is', () => {
    expect(forwardReasonText('new_reason')).to.equal('new reason');
  });
});
