import { expect } from 'chai';
import { createScreen, type Screen } from '../../../src/demo/screen.ts';

describe("the demo's screen", () => {
  let written: string;
  let now: number;
  const open = (live: boolean): Screen =>
    createScreen({ write: (text) => void (written += text), live, columns: 20, now: () => now });

  beforeEach(() => {
    written = '';
    now = 0;
  });

  it('rewrites the status in place on a terminal, and erases it for a line', () => {
    const screen = open(true);
    screen.status('one');
    screen.status('two');
    screen.line('a line');
    screen.line('another');
    expect(written).to.equal('\r\u001b[Kone\r\u001b[Ktwo\r\u001b[Ka line\nanother\n');
  });

  it('writes the same status once, and never a wider one than the terminal', () => {
    const screen = open(true);
    screen.status('x'.repeat(50));
    screen.status('x'.repeat(50));
    expect(written).to.equal(`\r\u001b[K${'x'.repeat(19)}`);
  });

  it('writes a status elsewhere only after a silence', () => {
    const screen = open(false);
    screen.line('first');
    now = 899;
    screen.status('too early');
    now = 900;
    screen.status('first word');
    screen.status('too early again');
    now = 1_800;
    screen.status('second word');
    expect(written).to.equal('first\nfirst word\nsecond word\n');
  });

  it('writes no control characters elsewhere', () => {
    const screen = open(false);
    now = 5_000;
    screen.status('waiting');
    screen.line();
    expect(written).to.equal('waiting\n\n');
  });
});
