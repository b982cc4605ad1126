import { expect } from 'chai';
import { UNKNOWN_DETAIL, fingerprints, type Fingerprint } from '../../../src/wire/fingerprint.ts';
import type { Block } from '../../../src/wire/message-request.ts';

const text = (said: string, more: object = {}): Block => ({ type: 'text', text: said, ...more });
const thinking = (said: string): Block => ({ type: 'thinking', thinking: said, signature: 's' });
const result = (content: unknown, more: object = {}): Block => ({
  type: 'tool_result',
  tool_use_id: 't',
  content,
  ...more,
});

/** The only fingerprint of a block. */
function only(role: string, ...blocks: readonly Block[]): Fingerprint {
  const prints = fingerprints(role, blocks);
  expect(prints).to.have.length(1);
  const [print] = prints;
  if (print === undefined) throw new Error('there is no fingerprint');
  return print;
}

describe('fingerprints', () => {
  it('leave out what does not count, and say where the others stand', () => {
    const blocks = [
      thinking('a'),
      text('<system-reminder>x</system-reminder>'),
      text('b'),
      text(' \n'),
      { type: 'image' },
    ];
    expect(fingerprints('assistant', blocks).map((print) => print.blockIndex)).to.deep.equal([2, 4]);
    expect(fingerprints('user', [])).to.deep.equal([]);
  });

  it('have a detail where the client may take something away, and none elsewhere', () => {
    expect(only('user', text('a')).detail).to.equal(null);
    expect(only('system', text('a')).detail).to.equal(null);
    expect(only('user', { type: 'image' }).detail).to.equal(null);
    expect(only('assistant', text('a')).detail).to.deep.equal(UNKNOWN_DETAIL);
    expect(only('assistant', thinking('x'), text('a')).detail).not.to.deep.equal(UNKNOWN_DETAIL);
    expect(only('user', result('a')).detail).not.to.deep.equal(UNKNOWN_DETAIL);
    expect(only('user', result('[Old tool result content cleared]')).detail).to.deep.equal(UNKNOWN_DETAIL);
  });

  it('tell the thoughts before a block apart, all of them', () => {
    const details = [
      [thinking('a')],
      [thinking('b')],
      [thinking('a'), thinking('b')],
      [thinking('ab')],
      [{ type: 'redacted_thinking', data: 'a' }],
    ].map((before) => only('assistant', ...before, text('x')).detail?.toString('hex'));
    expect(new Set(details)).to.have.length(5);
  });

  it('give thoughts to the next block only', () => {
    const [first, second] = fingerprints('assistant', [thinking('a'), text('x'), text('y')]);
    expect(first?.detail).not.to.deep.equal(UNKNOWN_DETAIL);
    expect(second?.detail).to.deep.equal(UNKNOWN_DETAIL);
  });

  it('of a tool’s result name the call, whatever the content', () => {
    const skeletons = ['a', '', [], [text('b')], undefined].map(
      (content) => only('user', result(content)).requiredPart,
    );
    expect(new Set(skeletons)).to.have.length(1);
    expect(only('user', { ...result('a'), tool_use_id: 'u' }).requiredPart).not.to.equal(skeletons[0]);
    expect(only('user', { type: 'tool_result', content: 'a' }).requiredPart).not.to.equal(skeletons[0]);
  });

  it('compare what a tool said and whether it failed', () => {
    const detail = (content: unknown, more: object = {}): string =>
      only('user', result(content, more)).detail?.toString('hex') ?? '';
    expect(detail('a')).to.equal(detail([text('a')]));
    expect(detail('a')).to.equal(detail('a', { is_error: false }));
    expect(detail('a')).to.equal(detail('a\n<system-reminder>b</system-reminder>'));
    expect(detail('a')).not.to.equal(detail('a', { is_error: true }));
    expect(detail('a')).not.to.equal(detail('b'));
    expect(detail([text('a'), text('b')])).not.to.equal(detail([text('ab')]));
    expect(detail([{ type: 'image', source: 1 }])).not.to.equal(detail([{ type: 'image', source: 2 }]));
  });

  it('do not depend on marks, on the order of keys, or on a mark being null', () => {
    const plain = only('assistant', {
      type: 'tool_use',
      id: 't',
      name: 'n',
      input: { a: 1, b: { c: 2, d: 3 } },
    }).requiredPart;
    expect(
      only('assistant', { input: { b: { d: 3, c: 2 }, a: 1 }, name: 'n', id: 't', type: 'tool_use' }).requiredPart,
    ).to.equal(plain);
    const marked = {
      type: 'tool_use',
      id: 't',
      name: 'n',
      input: { a: 1, b: { c: 2, d: 3 } },
      cache_control: { type: 'ephemeral' },
    };
    expect(only('assistant', marked).requiredPart).to.equal(plain);
    expect(only('assistant', { ...marked, cache_control: null }).requiredPart).to.equal(plain);
  });

  it('count fields that are not known', () => {
    expect(only('user', text('a')).requiredPart).not.to.equal(only('user', text('a', { citations: [] })).requiredPart);
    expect(only('user', { type: 'mystery' }).requiredPart).not.to.equal(
      only('user', { type: 'mystery', of: null }).requiredPart,
    );
  });

  it('count a mark that is a tool’s own input', () => {
    const call = (input: unknown): string =>
      only('assistant', { type: 'tool_use', id: 't', name: 'n', input }).requiredPart;
    expect(call({ cache_control: 1 })).not.to.equal(call({ cache_control: 2 }));
  });
});
