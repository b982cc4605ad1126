import { expect } from 'chai';
import type { ConversationView } from '../../../web/contract.ts';
import { matches } from '../../../web/conversations/search.ts';
import { wordsOf } from '../../../web/text-search.ts';

const view: ConversationView = {
  id: '6650cab5-7ef4',
  name: { text: 'order-import', from: 'folder', folder: '/home/ada/work/order-import', words: 'The nightly import' },
  kind: 'subagent',
  parent: null,
  model: 'claude-sonnet-4-6',
  phase: 'WAL_ACTIVE',
  phaseSince: 0,
  call: { state: 'idle', tries: 0, maxTries: 3, startedAt: null, retryAt: null, failure: null },
  used: 0,
  effectiveWindow: 0,
  marks: null,
  messages: 0,
  covered: null,
  created: 0,
  lastActivity: 0,
  counters: { checkpoints: 0, failures: 0, served: 0, confirmed: 0, forwarded: 0 },
};
const found = (text: string, ...phases: ConversationView['phase'][]): boolean =>
  matches(view, wordsOf(text), new Set(phases));

describe('web/conversations/search', () => {
  for (const text of [
    '',
    'ORDER',
    'nightly',
    '/home/ada',
    'sonnet',
    '6650',
    'wal active',
    'WAL_ACTIVE',
    'subagent',
    'import sonnet',
  ]) {
    it(`finds by “${text}”`, () => expect(found(text)).to.equal(true));
  }
  for (const text of ['billing', 'order billing', 'swap', 'failing']) {
    it(`does not find by “${text}”`, () => expect(found(text)).to.equal(false));
  }
  it('filters by phase as well', () => {
    expect(found('order', 'WAL_ACTIVE', 'IDLE')).to.equal(true);
    expect(found('order', 'IDLE')).to.equal(false);
  });
});
