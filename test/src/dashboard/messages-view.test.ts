import { expect } from 'chai';
import fc from 'fast-check';
import { BLOCK_CHARS, readMessagesView, TOTAL_CHARS } from '../../../src/dashboard/messages-view.ts';
import { historyFrom, type Message } from '../../../src/wire/message-request.ts';
import { history } from '../../support/histories.ts';

const viewOf = (messages: readonly Message[]) => readMessagesView(historyFrom(messages));

describe('the messages that a page is shown', () => {
  it('are text, tools with their names and results, thinking, pictures by kind', async () => {
    const [asked, answered, result, odd] = await viewOf([
      { role: 'user', content: 'Question' },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'Hm.', signature: 'secret' },
          { type: 'tool_use', id: 't1', name: 'Read', input: { path: 'a.ts' } },
        ],
      },
      {
        role: 'user',
        content: [
          {
            type: 'tool_result',
            tool_use_id: 't1',
            is_error: true,
            content: [{ type: 'text', text: 'none' }, { type: 'image' }],
          },
        ],
      },
      {
        role: 'system',
        content: [
          { type: 'image', source: { data: 'AAAA' } },
          { type: 'new_kind', data: 'x' },
        ],
      },
    ]);
    expect(asked).to.deep.equal({
      index: 0,
      role: 'user',
      blocks: [{ type: 'text', text: 'Question', chars: 8, name: null, failed: false }],
    });
    expect(answered?.blocks.map(({ name, text, type }) => [type, name, text])).to.deep.equal([
      ['thinking', null, 'Hm.'],
      ['tool_use', 'Read', '{\n  "path": "a.ts"\n}'],
    ]);
    expect(result?.blocks[0]).to.deep.include({
      type: 'tool_result',
      name: 'Read',
      failed: true,
      text: 'none\n[image]',
    });
    expect(odd?.blocks.map(({ name, text, type }) => [type, name, text])).to.deep.equal([
      ['image', null, ''],
      ['other', 'new_kind', ''],
    ]);
    expect(JSON.stringify([answered, odd]))
      .not.to.include('secret')
      .and.not.to.include('AAAA');
  });

  it('are cut where they are long, and say how long they were', async () => {
    const long = '🙂'.repeat(BLOCK_CHARS);
    const [message] = await viewOf([{ role: 'user', content: long }]);
    expect(message?.blocks[0]?.chars).to.equal(long.length);
    expect(message?.blocks[0]?.text.length).to.be.at.most(BLOCK_CHARS);
    expect(message?.blocks[0]?.text.isWellFormed()).to.equal(true);
  });

  it('are the newest that there is room for', async () => {
    const messages = Array.from({ length: 100 }, (_, at) => ({
      role: 'user',
      content: String(at).padEnd(BLOCK_CHARS),
    }));
    const shown = await viewOf(messages);
    expect(shown).to.have.length(TOTAL_CHARS / BLOCK_CHARS);
    expect(shown.at(-1)?.index).to.equal(99);
    expect(shown[0]?.index).to.equal(100 - TOTAL_CHARS / BLOCK_CHARS);
  });

  it('are shown of any history, those that cannot be read left out', async () => {
    await fc.assert(
      fc.asyncProperty(history, async (messages) => {
        const shown = await viewOf(messages);
        expect(shown.map(({ index }) => index)).to.deep.equal(messages.map((_, at) => at));
      }),
      { numRuns: 50 },
    );
    const messages = (at: number) => (at === 0 ? null : { role: 'user', content: 'x' });
    const holed = { length: 2, message: messages, bytesOfFirst: () => null };
    expect(await readMessagesView(holed)).to.have.length(1);
  });
});
