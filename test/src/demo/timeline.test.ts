import { expect } from 'chai';
import pc from 'picocolors';
import { bar, BAR_WIDTH, clock, comparison, eventLine, fit, ruler, turnLine } from '../../../src/demo/timeline.ts';

const thresholds = { checkpoint: 0.7, swap: 0.8 };
const plain = pc.createColors(false);
const look = { thresholds, columns: 120, colours: plain };
const turn = { at: 12_345, phase: 'WAL_ACTIVE', share: 0.75, text: 'What about \\r\\n?' } as const;

describe("the demo's timeline", () => {
  it('draws how full the window is, with both thresholds', () => {
    expect(bar(0, thresholds)).to.equal('░░░░░░░░░░░░░░░░░░░░░│░░│░░░░░');
    expect(bar(0.5, thresholds)).to.equal('███████████████░░░░░░│░░│░░░░░');
    expect(bar(1, thresholds)).to.equal('█████████████████████┃██┃█████');
  });

  it('draws a threshold as passed from exactly there on', () => {
    expect(bar(0.6999, thresholds)).to.include('│░░│');
    expect(bar(0.7, thresholds)).to.include('┃░░│');
    expect(bar(0.7999, thresholds)).to.include('┃██│');
    expect(bar(0.8, thresholds)).to.include('┃██┃');
  });

  it('is never longer or shorter than its width', () => {
    for (const share of [-1, 0, 0.001, 0.333, 0.7, 0.81, 0.999, 1, 7]) {
      expect(bar(share, thresholds)).to.have.length(BAR_WIDTH);
    }
  });

  it('names the thresholds right above their marks', () => {
    const line = turnLine(turn, look);
    const [first, second] = [line.indexOf('┃'), line.indexOf('│')];
    expect(ruler(thresholds).indexOf('┐')).to.equal(first);
    expect(ruler(thresholds).indexOf('┌')).to.equal(second);
    expect(ruler(thresholds)).to.include('checkpoint 70 %').and.to.include('80 % swap');
  });

  it('shows time, phase, bar, share and words of a turn on one line', () => {
    expect(turnLine(turn, look)).to.equal(
      ' 12.3 s  WAL_ACTIVE    █████████████████████┃█░│░░░░░ 75 %  What about \\r\\n?',
    );
    expect(turnLine({ ...turn, aside: 'checkpoint 3.1 s' }, look)).to.match(/What about \\r\\n\? +checkpoint 3\.1 s$/);
  });

  it('fits the width of the terminal, and cuts the words, not the figures', () => {
    const long = { ...turn, text: 'word '.repeat(100), aside: 'checkpoint 3.1 s' };
    for (const columns of [100, 120, 200]) {
      const line = turnLine(long, { ...look, columns });
      expect(line).to.have.length(columns);
      expect(line)
        .to.include('75 %')
        .and.to.include('…')
        .and.to.match(/checkpoint 3\.1 s$/);
    }
    expect(turnLine(long, { ...look, columns: 10 })).to.include('75 %  word word word …  checkpoint 3.1 s');
  });

  it('is coloured by the phase, and only where colours are wanted', () => {
    // eslint-disable-next-line no-control-regex -- that is what colours are
    const escapes = /\u001b\[\d+m/g;
    const coloured = turnLine(turn, { ...look, colours: pc.createColors(true) });
    expect(coloured).to.match(escapes);
    expect(coloured.replace(escapes, '')).to.equal(turnLine(turn, look));
    const phases = ['IDLE', 'CHECKPOINTING', 'WAL_ACTIVE', 'SWAP_READY'] as const;
    const lines = phases.map((phase) => turnLine({ ...turn, phase }, { ...look, colours: pc.createColors(true) }));
    expect(new Set(lines.map((line) => escapes[Symbol.match](line)?.[0])).size).to.equal(4);
  });

  it('shows when an event happened', () => {
    expect(clock(900)).to.equal('  0.9 s');
    expect(eventLine(900, '✓', 'done')).to.equal('  0.9 s  ✓ done');
  });

  it('never rounds a share up', () => {
    expect(turnLine({ ...turn, share: 0.79999 }, look)).to.include(' 79 %');
  });

  it('draws durations to scale, the shortest still visible', () => {
    expect(
      comparison([
        { name: 'fast', ms: 20 },
        { name: 'the slow one', ms: 9_000 },
        { name: 'half', ms: 4_500 },
      ]),
    ).to.deep.equal([
      'fast             20 ms  ▏',
      `the slow one       9 s  ${'█'.repeat(30)}`,
      `half             4.5 s  ${'█'.repeat(15)}`,
    ]);
    expect(comparison([])).to.deep.equal([]);
  });

  it('cuts with an ellipsis, and keeps to one line', () => {
    expect(fit('short', 10)).to.equal('short');
    expect(fit('exactly 10', 10)).to.equal('exactly 10');
    expect(fit('one more than', 10)).to.equal('one more …');
    expect(fit('two\n lines', 20)).to.equal('two lines');
  });
});
