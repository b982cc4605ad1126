import { expect } from 'chai';
import { timestamp } from '../../../machines/units.ts';
import { StoreService } from '../../../src/store/store-service.ts';
import { recordingLog, type LogLine } from '../../support/rig.ts';

const FULL = 'database or disk is full (SQLITE_FULL)';

describe('the store as a service', () => {
  let lines: LogLine[];
  let now: number;
  /** Why it cannot be opened, if it cannot. */
  let refuses: string | null;
  /** Called once the file is open. */
  let written: () => void;
  let failures: ((error: Error) => void)[];
  let isOpen: boolean;
  let service: StoreService;

  beforeEach(() => {
    lines = [];
    now = 0;
    refuses = null;
    written = () => undefined;
    failures = [];
    isOpen = false;
    service = new StoreService({
      store: {
        open() {
          if (refuses !== null) throw new Error(refuses);
          isOpen = true;
          return { fresh: false };
        },
        close: () => undefined,
        get isOpen() {
          return isOpen;
        },
        onFailure(told) {
          failures.push(told);
          return () => failures.splice(failures.indexOf(told), 1).length > 0;
        },
      },
      log: recordingLog(lines),
      monotonicNow: () => timestamp(now),
      onOpen() {
        written();
        return { checkpoints: 7 };
      },
    });
  });

  const said = () => lines.map(({ event, fields }) => [event, fields]);
  const tryAgain = (times: number, everyMs: number) => {
    for (let at = 0; at < times; at += 1) {
      now += everyMs;
      expect(() => service.start()).to.throw();
    }
  };

  it('logs the number of checkpoints when it opens', () => {
    service.start();
    expect(said()).to.deep.equal([['store.opened', { checkpoints: 7 }]]);
  });

  it('logs a failure once, again when the reason changes, once an hour, and its end', () => {
    refuses = FULL;
    tryAgain(100, 30_000);
    expect(said()).to.deep.equal([['store.failed', { message: FULL, failures: 1 }]]);
    tryAgain(30, 30_000);
    expect(said().slice(1)).to.deep.equal([['store.failed', { message: FULL, failures: 121 }]]);
    refuses = 'no rights';
    tryAgain(10, 30_000);
    expect(said().slice(2)).to.deep.equal([['store.failed', { message: 'no rights', failures: 131 }]]);
    refuses = null;
    now += 30_000;
    service.start();
    expect(said().slice(3)).to.deep.equal([['store.opened', { checkpoints: 7, failures: 140, closed_s: 4_200 }]]);
    refuses = FULL;
    tryAgain(1, 30_000);
    expect(said().slice(4), 'another outage').to.deep.equal([['store.failed', { message: FULL, failures: 1 }]]);
  });

  it('does not start when the file fails with the first writes', () => {
    written = () => (isOpen = false);
    expect(() => service.start()).to.throw(/failed as soon as it was written/);
    expect(said().map(([event]) => event)).to.deep.equal(['store.failed']);
  });

  it('reports a later failure, and not to those who have unsubscribed', () => {
    service.start();
    const heard: string[] = [];
    const stop = service.onFailure((error) => heard.push(error.message));
    for (const told of failures) told(new Error(FULL));
    expect(heard).to.deep.equal([FULL]);
    expect(said().at(-1)).to.deep.equal(['store.failed', { message: FULL, failures: 1 }]);
    stop();
    expect(failures).to.deep.equal([]);
  });
});
