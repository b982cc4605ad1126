import { expect } from 'chai';
import fc from 'fast-check';
import { tokens } from '../../../machines/units.ts';
import {
  isLaunchHeader,
  LAUNCH_HEADERS,
  launchThresholds,
  launchWindow,
  readLaunchSettings,
  type LaunchSettings,
} from '../../../src/wire/launch-settings.ts';

const NOTHING: LaunchSettings = { checkpoint: null, swap: null, window: null, compaction: null };
const PROXY = { checkpoint: 0.7, swap: 0.8 };
const EFFECTIVE = tokens(180_000);

const read = (name: string, value: string): LaunchSettings => readLaunchSettings([`X-DBProxy-${name}`, value]);

describe('the settings of one launch', () => {
  it('are read from headers, in whatever case, among all the others', () => {
    const headers = ['x-api-key', 'k', 'X-DBPROXY-Checkpoint-Threshold', '0.60', 'x-dbproxy-swap-threshold', ' .7 '];
    expect(readLaunchSettings(headers)).to.deep.equal({ ...NOTHING, checkpoint: 0.6, swap: 0.7 });
    expect(readLaunchSettings(['x-api-key', 'k'])).to.deep.equal(NOTHING);
  });

  it('know the windows that the client knows', () => {
    for (const [text, window] of [
      ['200000', 200_000],
      ['200k', 200_000],
      ['0.5M', 500_000],
      ['1m', 1_000_000],
      ['20000', 100_000], // the client takes less than this for this
    ] as const) {
      expect(read('compact-window', text).window, text).to.equal(window);
    }
  });

  it('know percentages', () => {
    expect(read('compact-percent', '65').compaction).to.equal(0.65);
    expect(read('compact-percent', '100').compaction).to.equal(1);
    expect(read('compact-percent', '72.5%').compaction).to.equal(0.725);
  });

  for (const [name, values] of [
    ['checkpoint-threshold', ['', '0', '1', '1.5', '-0.5', 'NaN', '0x1', '1e-1', '0.6, 0.7', '70%']],
    ['swap-threshold', ['0', '1', 'Infinity', '.']],
    ['compact-window', ['', '0', 'auto', '-200000', '200 000', '1e9', '9'.repeat(40), '5g']],
    ['compact-percent', ['0', '101', '-1', 'all']],
  ] as const) {
    it(`take a ${name} that cannot be used for none`, () => {
      for (const value of values) expect(read(name, value), value).to.deep.equal(NOTHING);
    });
  }

  it('never throw, whatever is sent, and are never out of range', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...LAUNCH_HEADERS),
        fc.oneof(fc.string(), fc.double().map(String)),
        ([, name], value) => {
          const { checkpoint, swap, window, compaction } = readLaunchSettings([name, value]);
          for (const share of [checkpoint, swap]) if (share !== null) expect(share > 0 && share < 1).to.equal(true);
          if (compaction !== null) expect(compaction > 0 && compaction <= 1).to.equal(true);
          if (window !== null) expect(Number.isSafeInteger(window) && window >= 100_000).to.equal(true);
        },
      ),
    );
  });

  it('are known by their names, and nothing else is taken for one', () => {
    for (const [, header] of LAUNCH_HEADERS) expect(isLaunchHeader(header)).to.equal(true);
    for (const name of ['X-DBProxy-Swap-Threshold', 'x-dbproxy-later', 'X-DBPROXY-']) {
      expect(isLaunchHeader(name)).to.equal(true);
    }
    for (const name of ['x-api-key', 'x-dbproxyish', 'dbproxy', '']) expect(isLaunchHeader(name)).to.equal(false);
  });

  describe('and the window', () => {
    it('only ever make it smaller', () => {
      const given = { ...NOTHING, window: tokens(200_000) };
      expect(launchWindow(tokens(1_000_000), given)).to.equal(200_000);
      expect(launchWindow(tokens(150_000), given)).to.equal(150_000);
      expect(launchWindow(tokens(150_000), NOTHING)).to.equal(150_000);
    });
  });

  describe('and the thresholds', () => {
    const thresholds = (given: Partial<LaunchSettings>) => launchThresholds(PROXY, { ...NOTHING, ...given }, EFFECTIVE);

    it("are the proxy's where nothing was given", () => {
      expect(thresholds({})).to.equal(PROXY);
      expect(thresholds({ window: tokens(200_000) })).to.equal(PROXY);
    });

    it("are the launch's own, one or both", () => {
      expect(thresholds({ checkpoint: 0.5 })).to.deep.equal({ checkpoint: 0.5, swap: 0.8 });
      expect(thresholds({ swap: 0.9 })).to.deep.equal({ checkpoint: 0.7, swap: 0.9 });
      expect(thresholds({ checkpoint: 0.85, swap: 0.9 })).to.deep.equal({ checkpoint: 0.85, swap: 0.9 });
    });

    it("are before the client's own compaction, where the user has moved that", () => {
      expect(thresholds({ compaction: 0.6 })).to.deep.equal({ checkpoint: 0.525, swap: 0.6 });
      expect(thresholds({ compaction: 0.6, checkpoint: 0.3 })).to.deep.equal({ checkpoint: 0.3, swap: 0.6 });
      expect(thresholds({ compaction: 0.6, swap: 0.75 })).to.deep.equal({ checkpoint: 0.525, swap: 0.6 });
      expect(thresholds({ compaction: 0.9, swap: 0.75 })).to.deep.equal({ checkpoint: 0.7, swap: 0.75 });
    });

    it('know that the client always compacts 13,000 tokens before the end', () => {
      expect(thresholds({ compaction: 1 }).swap).to.equal(167_000 / 180_000);
    });

    it('always have the checkpoint before the swap, both within the window', () => {
      const share = fc.option(fc.double({ min: 0.001, max: 0.999, noNaN: true }));
      fc.assert(
        fc.property(
          share,
          share,
          share,
          fc.integer({ min: 1, max: 1_000_000 }),
          (checkpoint, swap, compaction, window) => {
            const given = { ...NOTHING, checkpoint, swap, compaction };
            const found = launchThresholds(PROXY, given, tokens(window));
            expect(found.checkpoint > 0 && found.checkpoint < found.swap && found.swap <= 1).to.equal(true);
          },
        ),
      );
    });
  });
});
