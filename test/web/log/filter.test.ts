import { expect } from 'chai';
import type { LogEntry } from '../../../web/contract.ts';
import { filterLog, type LogFilter } from '../../../web/log/filter.ts';

const entries: readonly LogEntry[] = [
  { seq: 1, at: 1, level: 'info', event: 'phase.changed', conversation: 'c1', fields: { to: 'WAL_ACTIVE' } },
  { seq: 2, at: 2, level: 'warn', event: 'checkpoint.failed', conversation: 'c1', fields: { message: 'Overloaded' } },
  { seq: 3, at: 3, level: 'error', event: 'api.error', conversation: null, fields: { status: 529 } },
];
const found = (filter: Partial<LogFilter>): number[] =>
  filterLog(entries, { level: 'info', kind: '', text: '', conversation: null, ...filter }).map(({ seq }) => seq);

describe('web/log/filter', () => {
  it('shows everything without filters', () => expect(found({})).to.deep.equal([1, 2, 3]));
  it('shows a level and those above it', () => {
    expect(found({ level: 'warn' })).to.deep.equal([2, 3]);
    expect(found({ level: 'error' })).to.deep.equal([3]);
  });
  it('filters by kind and conversation', () => {
    expect(found({ kind: 'checkpoint' })).to.deep.equal([2]);
    expect(found({ conversation: 'c1' })).to.deep.equal([1, 2]);
  });
  it('requires every word, in any field and in any case', () => {
    expect(found({ text: 'wal phase' })).to.deep.equal([1]);
    expect(found({ text: 'status=529' })).to.deep.equal([3]);
    expect(found({ text: 'wal 529' })).to.deep.equal([]);
  });
});
