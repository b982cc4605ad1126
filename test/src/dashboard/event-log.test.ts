import { expect } from 'chai';
import { EventLog } from '../../../src/dashboard/event-log.ts';
import { recordingLog, type LogLine } from '../../support/rig.ts';

describe('the event log', () => {
  const lines: LogLine[] = [];
  let news = 0;
  let events: EventLog;
  const log = () => events.tap(recordingLog(lines));
  beforeEach(() => {
    lines.length = 0;
    news = 0;
    events = new EventLog(
      () => 7,
      () => (news += 1),
    );
  });

  it('passes every line on, and keeps those from INFO on', () => {
    const tapped = log();
    tapped.debug('a.debug', { conversation: 'c' });
    tapped.info('an.info', { conversation: 'c', count: 1, list: ['x'], none: undefined });
    tapped.warn('a.warning');
    tapped.error('an.error', { stack: 'at /home/somebody', message: 'm' });
    expect(lines.map(({ event, level }) => `${level} ${event}`)).to.deep.equal([
      'debug a.debug',
      'info an.info',
      'warn a.warning',
      'error an.error',
    ]);
    expect(events.after()).to.deep.equal([
      { seq: 1, at: 7, level: 'info', event: 'an.info', conversation: 'c', fields: { count: 1, list: ['x'] } },
      { seq: 2, at: 7, level: 'warn', event: 'a.warning', conversation: null, fields: {} },
      { seq: 3, at: 7, level: 'error', event: 'an.error', conversation: null, fields: { message: 'm' } },
    ]);
    expect([events.newest, news]).to.deep.equal([3, 3]);
  });

  it('tells what came after an entry', () => {
    const tapped = log();
    for (const name of ['one', 'two', 'three']) tapped.info(name);
    expect(events.after(1).map(({ event }) => event)).to.deep.equal(['two', 'three']);
    expect(events.after(3)).to.deep.equal([]);
  });

  it('keeps the last thousand', () => {
    const tapped = log();
    for (let at = 0; at < 5_000; at += 1) tapped.info('again');
    expect(events.after()).to.have.length(1_000);
    expect(events.after()[0]?.seq).to.equal(4_001);
  });

  it('cuts what is long', () => {
    log().info('long', { text: 'x'.repeat(10_000) });
    expect(events.after()[0]?.fields['text']).to.have.length(500);
  });
});
