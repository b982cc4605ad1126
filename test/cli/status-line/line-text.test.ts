import { expect } from 'chai';
import { joined, lineText } from '../../../cli/status-line/line-text.ts';

const known = (phase: 'IDLE' | 'CHECKPOINTING' | 'WAL_ACTIVE' | 'SWAP_READY', passthrough = false) =>
  lineText({ answer: { phase, utilisation: 0.634, passthrough }, throughUs: true, hasSpoken: true });

describe('the status line', () => {
  it('says how full the context is, and what is being done about it', () => {
    expect(known('IDLE')).to.equal('◈ DB_PROXY_ON 63%');
    expect(known('CHECKPOINTING')).to.equal('◈ DB_PROXY_ON 63% checkpointing…');
    expect(known('WAL_ACTIVE')).to.equal('◈ DB_PROXY_ON 63% ready');
    expect(known('SWAP_READY')).to.equal('◈ DB_PROXY_ON 63% ready');
    expect(known('CHECKPOINTING', true)).to.equal('◈ DB_PROXY_ON passthrough');
  });

  it('says nothing of a session that does not run through us', () => {
    expect(lineText({ answer: null, throughUs: true, hasSpoken: false })).to.equal('◈ DB_PROXY_ON');
    expect(lineText({ answer: null, throughUs: true, hasSpoken: true })).to.equal('');
    expect(lineText({ answer: null, throughUs: false, hasSpoken: false })).to.equal('');
  });

  it('stands behind the one that the user has', () => {
    expect(joined('main ✓\n', 'OURS')).to.equal('main ✓  OURS');
    expect(joined('', 'OURS')).to.equal('OURS');
    expect(joined('main ✓\n', '')).to.equal('main ✓');
  });
});
